"""Random valid networks of all operators, judged three ways: PyTorch's module = ONNX Runtime = netc's shapes, and the
same once the file was optimised, and once it was imported again. Formatted and in the long form, their specs are the
same networks.

The structure (blocks, loops, branches, shared modules, taps) is that of `tests/random_modules.py`, the operators with
their attributes are drawn as for `tests/sweep`; what they read is computed by the network where it can be, and an input
of its own where it means something, such as boxes or places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import onnxruntime
import torch
from safetensors.torch import save_file
from sweep.draw import Case, draw, shown
from sweep.judge import POSITIONS, in_any_order
from sweep.plausible import DATA, data
from torch import Tensor, nn

import netc
from fuzz.specs import rewritten
from netc.backends.onnx import OnnxOptions
from netc.diagnostics.model import NetcError
from netc.ir.flat import flatten, parameters
from netc.ops import OPERATORS, BadValue, Op
from netc.optimise import OptimisePlan, optimise
from netc.optimise.plan import FLOAT_STEPS
from netc.passes.sizes import bound_shape
from netc.run.module import as_tuple
from netc.types import TensorType
from netc.verify.differences import TOLERANCE
from tests.conformance import findings
from tests.module_judge import MOST, SIZES, Wrong, _stir, last_class, step
from tests.random_modules import Maker, Spec

PLAIN: Spec = {"netc": 1, "name": "plain", "inputs": {"image": ["N", 2, "4*h", "4*v"]}}
PLAIN |= {"net": {"head": ["conv2d 3 1 @image", "adaptive_avg_pool2d 1", "flatten"]}, "outputs": {"logits": "head"}}

INSIDE = (torch.int64, torch.int32)
"""ONNX Runtime 1.31 lets equal constants of at most eight elements share one tensor, and then cannot read axes from one
that lies in another file (`Cannot parse data from external tensors`)."""

LARGEST = 4096
"""Elements of a tensor."""


class Network(msgspec.Struct, frozen=True):
    """files: name → spec, `main.yaml` first; given: what inputs besides `image` are fed with."""

    files: dict[str, Spec]
    given: dict[str, Tensor]


class Grower:
    """Adds operators to a network, one reading what another made."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        files = Maker(seed).make() if self.random.random() < 0.7 else {}
        if not _is_valid(files):
            files = {"main.yaml": {key: dict(p) if isinstance(p, dict) else p for key, p in PLAIN.items()}}
        self.files, self.spec = files, next(iter(files.values()))
        self.given: dict[str, Tensor] = {}
        self.made: list[tuple[str, TensorType]] = []
        self.count = 0
        self.head = next(iter(self.spec["outputs"].values()))

    def grow(self, operators: int) -> Network:
        for _ in range(operators):
            case = self._case()
            if case is not None:
                self._add(case)
        return Network(self.files, self.given)

    def name(self, word: str) -> str:
        self.count += 1
        return f"{word}_{self.count}"

    def _case(self) -> Case | None:
        """One that netc and PyTorch take."""
        for _ in range(20):
            case = draw(self.random.choice(sorted(OPERATORS)), self.random.randrange(2**30), self.random.randrange(99))
            try:
                op = case.op()
            except BadValue:
                continue
            small = all(prod(t.shape) <= LARGEST and all(t.shape) for t in case.types)
            if small and _takes(op, case) and all(0 < prod(t.shape) <= LARGEST for t in op.outputs(*case.types)):
                return case
        return None

    def _add(self, case: Case) -> None:
        op = case.op()
        tensors = [key for key, value in case.values.items() if value is True and _takes_tensor(case, key)]
        numbers = {key: value for key, value in case.values.items() if key not in tensors}
        values = data(op, case.types, case.number)
        own = case.operator in DATA or case.operator in POSITIONS
        reads = [self._read(t, v, own) for t, v in zip(case.types, values, strict=True)]
        plain, last = reads[: len(reads) - len(tensors)], reads[len(reads) - len(tensors) :]
        most = OPERATORS[case.operator].arity[1]
        plain, like = (plain, []) if most is None else (plain[:most], plain[most:])
        words = [case.operator, *(f"{key}={_said(value)}" for key, value in numbers.items())]
        named = [f"{key}=@{read}" for key, read in zip(tensors, last, strict=True)]
        named += [f"{key}=@{read}" for key, read in zip(OPERATORS[case.operator].references, like, strict=False)]
        outputs = op.outputs(*case.types)
        name = self._placed(words, plain, named, len(outputs), not op.params(*case.types))
        ports = op.ports() or (("",) if len(outputs) == 1 else tuple(map(str, range(len(outputs)))))
        for port, kind in zip(ports, outputs, strict=True):
            whole = f"{name}.{port}" if port else name
            self.made.append((whole, kind))
            self.spec["outputs"][self.name("out")] = whole

    def _placed(self, words: list[str], plain: list[str], named: list[str], outputs: int, idle: bool) -> str:
        """In the network itself, or in a block of its own."""
        name = self.name("s")
        reads = [f"@{read}" for read in plain]
        if named or outputs > 1 or self.random.random() < 0.6:
            self.spec["net"][name] = " ".join([*words, *named, *reads])
            return name
        block, ports = self.name("b"), [f"p{at}" for at in range(len(plain))]
        line = " ".join([*words, *(f"@{port}" for port in ports)])
        body: Spec = {"inputs": ports} if ports else {}
        self.spec.setdefault("blocks", {})[block] = {**body, "net": {"inner": line, "same": "identity @inner"}}
        self.spec["net"][name] = " ".join([block, *reads])
        return name

    def _read(self, kind: TensorType, value: Tensor, own: bool) -> str:
        """A tensor of that type: one that is there, one made of another by a learned layer, or an input."""
        same = [name for name, other in self.made if other == kind]
        if not own and same and self.random.random() < 0.7:
            return self._finite(kind, self.random.choice(same))
        if not own and kind.dtype == "float32" and self.random.random() < 0.7:
            return self._learned(kind)
        name = self.name("given")
        self.spec["inputs"][name] = {"shape": list(kind.shape), "dtype": kind.dtype}
        self.given[name] = value
        return name

    def _finite(self, kind: TensorType, tensor: str) -> str:
        """Without what an operator made of values outside its domain: of NaN, libraries make different things."""
        if not kind.dtype.startswith("float"):
            return tensor
        name = self.name("f")
        self.spec["net"][name] = f"nan_to_num nan=0.5 posinf=2.0 neginf=-2.0 @{tensor}"
        return name

    def _learned(self, kind: TensorType) -> str:
        """A linear layer of another tensor."""
        floats = [(name, t) for name, t in self.made if t.dtype == "float32" and t.shape]
        steps = [f"mean dim=0 @{self.head}"]
        if floats and self.random.random() < 0.7:
            steps = [f"flatten start_dim=0 @{self.random.choice(floats)[0]}"]
        name = self.name("v")
        sizes = " ".join(map(str, kind.shape))
        tame = ("nan_to_num nan=0.5", "sigmoid", f"linear {prod(kind.shape)}", "softsign")
        self.spec["net"][name] = [*steps, *tame, f"reshape ({sizes})"]
        return name


def _takes(op: Op, case: Case) -> bool:
    """Does the operator read so many tensors, of such types?"""
    tensors = sum(value is True and _takes_tensor(case, key) for key, value in case.values.items())
    count, (fewest, most) = len(case.types) - tensors, op.arity
    fits = fewest <= count <= (most or count) + len(op.references) and not in_any_order(op)
    return fits and not findings(op, *case.types)


def _takes_tensor(case: Case, key: str) -> bool:
    return OPERATORS[case.operator].attributes[key].kind == "Tensor"


def _said(value: Any) -> str:
    """A value as a line has it; words with signs in them are quoted."""
    text = shown(value)
    return f'"{text}"' if isinstance(value, str) and not text.replace("-", "").isidentifier() else text


def _is_valid(files: dict[str, Spec]) -> bool:
    """Does netc take it, and is it of one text without an import?"""
    if len(files) != 1:
        return False
    try:
        network = netc.load(text_of(files))
    except NetcError:
        return False
    first = next(iter(network.outputs.values()))
    return len(first.shape) == 2 and first.dtype == "float32"


def text_of(files: dict[str, Spec]) -> str:
    import yaml

    return str(yaml.safe_dump(next(iter(files.values())), sort_keys=False, width=10_000))


def judge(network: Network) -> str:
    """`refused`, `no ONNX`, or the ways that were compared; raises Wrong."""
    try:
        loaded = netc.load(text_of(network.files))
    except NetcError as error:
        return f"refused: {error.diagnostics[0].code}: {error.diagnostics[0].message}"
    if sum(prod(param.shape) for _, param, _ in parameters(flatten(loaded.ir))) > MOST:
        return "refused: large"
    with step("rewrite"):
        rewritten(text_of(network.files).encode())
    with TemporaryDirectory(prefix="netc-fuzz-") as folder:
        return _compared(loaded, network, Path(folder))


def _compared(loaded: netc.Network, network: Network, folder: Path) -> str:
    torch.manual_seed(0)
    with step("generate"):
        module = last_class(loaded.to_torch())().eval()
    _stir(module)
    state = {key: value.detach().clone().contiguous() for key, value in module.state_dict().items()}
    inputs = _inputs(loaded, network)
    try:
        with torch.no_grad():
            wanted = _tensors(module(*inputs.values()))
    except RuntimeError as error:
        if "not implemented for" in str(error):
            return "no kernel of PyTorch's on the CPU"
        raise Wrong("module", repr(error)) from error
    _same_types(loaded, wanted)
    if any(t.dtype == torch.bfloat16 for t in (*inputs.values(), *wanted)):
        return "no ONNX: numpy has no bfloat16"
    save_file(state, folder / "w.safetensors") if state else None
    try:
        inside = OnnxOptions(placement="single")  # see INSIDE
        options = inside if any(t.dtype in INSIDE and t.numel() <= 8 for t in state.values()) else None
        loaded.write_onnx(folder / "m.onnx", folder / "w.safetensors" if state else None, options=options)
    except NetcError as error:
        return f"no ONNX: {error.diagnostics[0].code}"
    rounding = _rounding(module, inputs, wanted)
    compare("onnx", _run(folder / "m.onnx", inputs), wanted, rounding)
    ways = ["onnx"]
    if _goes(
        "optimise", "bad-input", lambda: optimise(folder / "m.onnx", folder / "o.onnx", OptimisePlan(steps=FLOAT_STEPS))
    ):
        compare("optimised", _run(folder / "o.onnx", inputs), wanted, rounding)
        ways.append("optimised")
    found = _goes("import", "cannot-import bad-input", lambda: netc.import_onnx(folder / "m.onnx"))
    if found is None:
        return " ".join(ways)
    with step("imported"), torch.no_grad():
        again = found.network.module({key: found.tensor(key) for key in found.tensors}).eval()
        compare("imported", _tensors(again(*(inputs[name] for name in found.network.inputs))), wanted, rounding)
    return " ".join([*ways, "imported"])


def _goes(kind: str, allowed: str, do: Callable[[], Any]) -> Any:
    """What it gives, or None where it is refused for one of these reasons; raises Wrong."""
    try:
        return do()
    except NetcError as error:
        if error.diagnostics[0].code in allowed.split():
            return None
        raise Wrong(kind, str(error)) from error
    except Exception as error:
        raise Wrong(kind, repr(error)) from error


def _inputs(loaded: netc.Network, network: Network) -> dict[str, Tensor]:
    torch.manual_seed(1)
    found = {}
    for name, kind in loaded.inputs.items():
        found[name] = network.given[name] if name in network.given else torch.randn(bound_shape(kind.shape, SIZES))
    return found


def _tensors(found: Any) -> list[Tensor]:
    return [t for t in (found.values() if isinstance(found, dict) else as_tuple(found)) if t is not None]


def _same_types(loaded: netc.Network, found: Sequence[Tensor]) -> None:
    kept = [o.value.type for o in loaded.ir.block.outputs if not o.train_only]
    said = [(tuple(bound_shape(t.shape, SIZES)), f"torch.{t.dtype}") for t in kept]
    seen = [(tuple(t.shape), str(t.dtype)) for t in found]
    if said != seen:
        raise Wrong("shapes", f"netc says {said}, PyTorch makes {seen}")


def _run(path: Path, inputs: dict[str, Tensor]) -> list[Tensor]:
    with step("onnxruntime"):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = {value.name for value in session.get_inputs()}
        return [torch.from_numpy(v) for v in session.run(None, {n: t.numpy() for n, t in inputs.items() if n in names})]


def _rounding(module: nn.Module, inputs: dict[str, Tensor], wanted: Sequence[Tensor]) -> list[Tensor]:
    """How far each element moves when inputs and weights do by what rounding is: large where something is decided by
    it, or divided by a number that is nearly 0."""
    kept = {key: t.clone() for key, t in module.state_dict().items()}
    moved = [torch.zeros_like(t, dtype=torch.float64) for t in wanted]
    for seed in range(3):
        torch.manual_seed(seed)
        nudged = [
            t * (1 + 3e-6 * torch.randn_like(t)) + 3e-7 * torch.randn_like(t) if t.is_floating_point() else t
            for t in inputs.values()
        ]
        module.load_state_dict({key: _rounded(t) for key, t in kept.items()})
        with torch.no_grad():
            found = _tensors(module(*nudged))
        moved = [torch.maximum(m, _apart(a, b)) for m, a, b in zip(moved, found, wanted, strict=True)]
    module.load_state_dict(kept)
    return moved


def _rounded(weight: Tensor) -> Tensor:
    """A weight that is off by about one rounding."""
    kind = weight.dtype
    return weight * (1 + torch.finfo(kind).eps * torch.randn_like(weight)) if kind.is_floating_point else weight


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """0 where both are the same, were it NaN or infinite."""
    same = (a == b) | (a.isnan() & b.isnan()) if a.is_floating_point() else a == b
    return torch.where(same, 0.0, (a.double() - b.double()).abs().nan_to_num(torch.inf))


def compare(kind: str, found: Sequence[Tensor], wanted: Sequence[Tensor], rounding: Sequence[Tensor]) -> None:
    if [(t.shape, t.dtype) for t in found] != [(t.shape, t.dtype) for t in wanted]:
        raise Wrong(kind, f"other types: {[(t.shape, t.dtype) for t in found]}, {[(t.shape, t.dtype) for t in wanted]}")
    for at, (ours, theirs, moved) in enumerate(zip(found, wanted, rounding, strict=True)):
        finite = theirs.double()[theirs.double().isfinite()]
        dtype = "float32" if theirs.dtype == torch.float64 else str(theirs.dtype).removeprefix("torch.")
        allowed = 5 * TOLERANCE.get(dtype, 0.0)  # float64 may have been float32 on the way
        room = allowed * (1 + (float(finite.abs().max()) if finite.numel() else 0.0)) + 10 * moved
        apart = _apart(ours, theirs)
        if not bool((apart <= room).all()):
            raise Wrong(kind, f"output {at}: apart by {float(apart.max()):.3g}, allowed {float(room.min()):.3g}")


def networks(data: bytes) -> None:
    """The bytes are the seed of a network."""
    outcome(int.from_bytes(data[:8], "little"))


def outcome(seed: int) -> str:
    """How a network was compared; raises Wrong."""
    return judge(Grower(seed).grow(Random(seed).randint(1, 6)))
