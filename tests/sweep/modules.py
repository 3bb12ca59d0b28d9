"""PyTorch's own module tests driven through netc: a spec line from the constructor's arguments, the same inputs and
weights, the same values."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from conformance import flat, shake
from safetensors.torch import save_file
from torch import nn
from torch.testing._internal.common_modules import ErrorModuleInput, ModuleInfo, ModuleInput, module_db

import netc
from netc.ops import OPERATORS, Op
from netc.run import open_model
from sweep.differences import refusal_reason
from sweep.draw import shown
from sweep.judge import REFUSALS, close
from sweep.tally import Failure, Tally

PADS = {
    "Reflection": "reflect",
    "Replication": "replicate",
    "Circular": "circular",
    "Zero": "constant",
    "Constant": "constant",
}
BY_MODULE = {cls.torch_name.removeprefix("torch."): name for name, cls in OPERATORS.items()}
TOLD = {
    *("in_channels", "in_features", "in1_features", "in2_features", "num_features", "num_channels", "input_size"),
    *("embed_dim", "device", "dtype", "inplace"),
}
"""Arguments that netc reads off the inputs, or that say nothing about the network."""


class Outside(Exception):
    """The test is of something that netc has not; the text is the reason."""


class Spec(msgspec.Struct, frozen=True):
    """A spec of one statement, with its inputs and the values they are given."""

    text: str
    line: str
    tensors: dict[str, torch.Tensor]
    outputs: int


def run_modules() -> list[Tally]:
    """A tally per module of PyTorch's database."""
    return [run_module(info) for info in module_db]


def run_module(info: ModuleInfo) -> Tally:
    tally = Tally(info.name)
    torch.manual_seed(0)
    for made in samples(info, info.module_inputs_func):
        count(tally, info, made, wrong=False)
    for made in samples(info, info.module_error_inputs_func):
        count(tally, info, made, wrong=True)
    return tally


def samples(info: ModuleInfo, make: Any) -> Sequence[Any]:
    options = {"device": "cpu", "dtype": torch.float32, "requires_grad": False, "training": False}
    return make(info, **options) if make else ()


def count(tally: Tally, info: ModuleInfo, made: ModuleInput | ErrorModuleInput, *, wrong: bool) -> None:
    """One test: its kind, and a failure with the line that shows it."""
    tally.cases += 1
    sample: ModuleInput = made.module_error_input if isinstance(made, ErrorModuleInput) else made
    line = described(info, sample)
    try:
        kind, line = refused(info, sample) if wrong else compared(info, sample, tally)
    except Outside as outside:
        tally.left_out[str(outside)] += 1
        kind = "excluded"
    except (AssertionError, netc.NetcError, *REFUSALS) as error:
        tally.failures.append(Failure(line, f"{type(error).__name__}: {error}", ""))
        kind = "failed"
    tally.kinds[kind] += 1


def described(info: ModuleInfo, sample: ModuleInput) -> str:
    given = sample.constructor_input
    shapes = (
        [str(tuple(x.shape)) for x in flat(sample.forward_input.args) if isinstance(x, torch.Tensor)]
        if sample.forward_input
        else []
    )
    arguments = [*map(str, given.args), *(f"{k}={v}" for k, v in given.kwargs.items())]
    return f"{info.name}({', '.join(arguments)})   # on {', '.join(shapes)}"


def refused(info: ModuleInfo, sample: ModuleInput) -> tuple[str, str]:
    """What PyTorch's tests say is wrong must be refused by netc."""
    spec = specification(info, sample)
    try:
        netc.load(spec.text)
    except netc.NetcError:
        return "refused", spec.line
    if info.module_cls in (nn.Embedding, nn.EmbeddingBag):
        raise Outside("wrong values of a right type, which show at run time alone")
    if issubclass(info.module_cls, nn.RNNCellBase):
        raise Outside("another number of features than PyTorch was told; netc infers it")
    raise AssertionError(f"PyTorch refuses what netc takes: {spec.line}")


def compared(info: ModuleInfo, sample: ModuleInput, tally: Tally) -> tuple[str, str]:
    """Shapes and values in eval and train mode, and ONNX Runtime's."""
    spec = specification(info, sample)
    try:
        network = netc.load(spec.text)
    except netc.NetcError as error:
        reason = refusal_reason(str(error))
        if not reason:
            raise
        sample, reason = with_batch(info, sample), reason
        spec = specification(info, sample)
        network = accepted(spec, reason)
        tally.left_out["module: the test has no batch axis; it is run with one of size 1"] += 1
    theirs = module_of(info, sample)
    ours = generated(network)
    ours.load_state_dict({f"node.{key}": value for key, value in theirs.state_dict().items()}, strict=True)
    for training in (False, True):
        same_run(ours.train(training), theirs.train(training), sample, spec)
    tally.compared["values"] += 1
    same_onnx(network, ours.eval(), spec, tally)
    return "accepted", spec.line


def accepted(spec: Spec, reason: str) -> netc.Network:
    try:
        return netc.load(spec.text)
    except netc.NetcError as error:
        raise Outside(reason) from error


def module_of(info: ModuleInfo, sample: ModuleInput) -> nn.Module:
    torch.manual_seed(0)
    module = info.module_cls(*sample.constructor_input.args, **sample.constructor_input.kwargs)
    with torch.no_grad():
        shake(module)
    return module


def generated(network: netc.Network) -> nn.Module:
    """The module in netc's generated code."""
    scope: dict[str, Any] = {"__name__": "generated"}
    exec(network.to_torch(), scope)
    classes = [v for v in scope.values() if isinstance(v, type) and v.__module__ == "generated"]
    return classes[-1]()  # type: ignore[no-any-return]


def same_run(ours: nn.Module, theirs: nn.Module, sample: ModuleInput, spec: Spec) -> None:
    """Outputs, then the buffers they leave behind, from the same random numbers."""
    given = sample.forward_input
    with torch.no_grad():
        torch.manual_seed(1)
        expected = [t for t in flat(theirs(*given.args, **given.kwargs)) if isinstance(t, torch.Tensor)]
        torch.manual_seed(1)
        found = flat_outputs(ours(*spec.tensors.values()))
    for mine, other in zip(found, expected, strict=False):
        assert mine.shape == other.shape, f"netc's code makes {tuple(mine.shape)}, PyTorch {tuple(other.shape)}"
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6, equal_nan=True)
    assert len(found) == spec.outputs
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


def flat_outputs(result: Any) -> list[torch.Tensor]:
    return flat(list(result.values()) if isinstance(result, dict) else result)


def same_onnx(network: netc.Network, ours: nn.Module, spec: Spec, tally: Tally) -> None:
    """ONNX Runtime on the exported file with the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        model, weights = Path(folder, "model.onnx"), Path(folder, "model.safetensors")
        save_file({k: v.contiguous() for k, v in ours.state_dict().items()}, weights)
        try:
            network.write_onnx(model, weights)
        except netc.NetcError as error:
            tally.left_out[f"onnx: {str(error).partition('as ONNX: ')[2].partition(chr(10))[0]}"] += 1
            return
        session = open_model(model, "cpu")
        found = session.run(None, {k: v.numpy() for k, v in spec.tensors.items()})
    with torch.no_grad():
        expected = flat_outputs(ours(*spec.tensors.values()))
    for mine, other in zip(found, expected, strict=True):
        close(torch.from_numpy(mine), other)
    tally.compared["onnx"] += 1


def specification(info: ModuleInfo, sample: ModuleInput) -> Spec:
    """The spec of one statement that means the same, or Outside."""
    if sample.forward_input is None:
        raise Outside("PyTorch's test gives no input, from which netc would read the channels")
    name, values = translated(info, arguments_of(info, sample))
    if name == "pad" and sample.forward_input.args[0].dim() > int(info.module_cls.__name__[-2]) + 2:
        raise Outside("the number of axes that pad is told by PyTorch's name and by the input in netc")
    cls = OPERATORS[name]
    tensors, references, flags = forward_inputs(cls, sample)
    if {x.dtype for x in tensors.values() if x.is_floating_point()} - {torch.float32}:
        raise Outside("an element type that differs from the parameters': netc's have the input's")
    values |= flags
    count = outputs_of(cls, values)
    reads = " ".join(f"@{n}" for n in tensors if n not in references.values())
    named = " ".join(f"{key}=@{n}" for key, n in references.items())
    given = " ".join(f"{key}={shown(value)}" for key, value in values.items())
    line = " ".join(part for part in (name, given, named, reads) if part)
    inputs = ", ".join(f"{n}: {{shape: {list(x.shape)}, dtype: {str(x.dtype)[6:]}}}" for n, x in tensors.items())
    outputs = (
        "{out: node}"
        if count == 1
        else f"{{{', '.join(f'out{i}: {p}' for i, p in enumerate(count_ports(cls, count)))}}}"
    )
    text = f"netc: 1\ninputs: {{{inputs}}}\nnet:\n  node: {line}\noutputs: {outputs}\n"
    return Spec(text, f"{line}   # on {', '.join(str(tuple(x.shape)) for x in tensors.values())}", tensors, count)


def outputs_of(cls: type[Op], values: dict[str, Any]) -> int:
    if cls.name == "multihead_attention":
        return 2 if values.get("need_weights") else 1
    return {"rnn": 2, "gru": 2, "lstm": 3, "lstm_cell": 2}.get(cls.name, 2 if values.get("return_indices") else 1)


def count_ports(cls: type[Op], count: int) -> Iterator[str]:
    ports = {"lstm": ("", "h_n", "c_n"), "rnn": ("", "h_n"), "gru": ("", "h_n"), "multihead_attention": ("", "weights")}
    ports |= {"lstm_cell": ("", "c_1")}
    for port in ports.get(cls.name, ("", "indices"))[:count]:
        yield f"node.{port}" if port else "node"


def arguments_of(info: ModuleInfo, sample: ModuleInput) -> dict[str, Any]:
    """The constructor's arguments by name, those that are PyTorch's default left out."""
    given = sample.constructor_input
    if issubclass(info.module_cls, nn.RNNBase):
        names = [
            "input_size",
            "hidden_size",
            "num_layers",
            *(["nonlinearity"] if info.module_cls is nn.RNN else []),
            "bias",
        ]
        return dict(zip(names, given.args, strict=False)) | given.kwargs
    signature = inspect.signature(info.module_cls.__init__)
    bound = signature.bind(None, *given.args, **given.kwargs).arguments
    bound.pop("self")
    return {k: v for k, v in bound.items() if v is not signature.parameters[k].default}


def translated(info: ModuleInfo, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The operator and its attributes."""
    cls = info.module_cls
    kind, is_pad, _ = cls.__name__.partition("Pad")
    if is_pad and kind in PADS:
        return "pad", padding(PADS[kind], int(cls.__name__[-2]), arguments)
    name = BY_MODULE.get(f"nn.{cls.__name__}")
    if name is None:
        raise Outside(no_operator(cls))
    values = {k: tuple(v) if isinstance(v, list | torch.Size) else v for k, v in arguments.items() if k not in TOLD}
    for key in values:
        if key not in OPERATORS[name].attributes:
            raise Outside(f"netc's {name} has no argument `{key}`")
    return name, values


def no_operator(cls: type[nn.Module]) -> str:
    name = cls.__name__
    if "Loss" in name:
        return "losses are no part of a network"
    if name.startswith("Lazy"):
        return "lazy modules: netc infers channels in every module"
    if "Transformer" in name:
        return "transformers: a block of several operators in netc, not one"
    return f"netc has no operator for {name}"


def padding(mode: str, rank: int, arguments: dict[str, Any]) -> dict[str, Any]:
    """PyTorch counts from the last axis on, begin and end together; netc all begins from the first axis on, then all
    ends."""
    found = arguments["padding"]
    extra = {"value": arguments["value"]} if "value" in arguments else {}
    found = (found,) * 2 * rank if isinstance(found, int) else found
    begins, ends = found[::2][::-1], found[1::2][::-1]
    return {"padding": (*begins, *ends), "mode": mode, **extra}


NAMES = ("first", "second", "third", "fourth", "fifth")


def forward_inputs(
    cls: type[Op], sample: ModuleInput
) -> tuple[dict[str, torch.Tensor], dict[str, str], dict[str, Any]]:
    """Named inputs, which of them are references, and attributes that PyTorch takes when the module is called."""
    given = flat(sample.forward_input.args)
    if any(not isinstance(x, torch.Tensor) or x.is_complex() or x.is_sparse for x in given):
        raise Outside("inputs that are no tensors of real numbers")
    tensors = dict(zip(NAMES, given, strict=False))
    references, flags = {}, {}
    for key, value in sample.forward_input.kwargs.items():
        if value is None:
            continue
        if isinstance(value, torch.Tensor) and key in cls.references:
            references[key] = f"{key}_given"
            tensors[f"{key}_given"] = value
        elif key in cls.attributes:
            flags[key] = value
        else:
            raise Outside(f"netc's {cls.name} has no argument `{key}`")
    if cls.name == "multihead_attention":
        flags.setdefault("need_weights", True)
    return tensors, references, flags


def with_batch(info: ModuleInfo, sample: ModuleInput) -> ModuleInput:
    """The same test with a batch of one."""
    options = sample.constructor_input.kwargs
    sequence = info.module_cls is nn.MultiheadAttention or issubclass(info.module_cls, nn.RNNBase)
    axis = 1 if sequence and not options.get("batch_first", False) else 0

    def grown(at: int, x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(grown(1, part) for part in x)
        return x.unsqueeze(1 if at and issubclass(info.module_cls, nn.RNNBase) else axis)

    given = sample.forward_input
    args = [grown(i, x) for i, x in enumerate(given.args)]
    kwargs = {k: v[None] if k == "key_padding_mask" and v is not None else v for k, v in given.kwargs.items()}
    return ModuleInput(sample.constructor_input, type(given)(*args, **kwargs), sample.desc)
