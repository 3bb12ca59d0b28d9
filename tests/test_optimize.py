"""`netc optimize`: what comes out computes what went in, in fewer nodes, or nothing comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.parser import parse_model
from PIL import Image
from safetensors.numpy import load_file, save_file

import netc
from netc.backends.onnx import OnnxOptions, write_onnx
from netc.cli.main import cli
from netc.diagnostics.model import NetcError
from netc.optimise import Calibration, OptimisePlan, absorb, fold, optimise
from netc.optimise.graph import Graph
from netc.optimise.parity import Original, ParityTrial, _differences, trials
from netc.optimise.plan import FLOAT_STEPS
from netc.optimise.quantise import _Sum
from netc.run.model import read_model
from netc.weights import init_weights

ROOT = Path(__file__).parent.parent
ALL = OptimisePlan(steps=FLOAT_STEPS)


def compiled(spec: str, args: Any = None) -> Any:
    return netc.load(str(ROOT / spec), args=args).ir


def trained(spec: str, folder: Path, **args: Any) -> Path:
    """An ONNX file with weights as training might leave them: no norm is neutral."""
    network = compiled(spec, args)
    weights = init_weights(network, folder / "trained.safetensors", 0).path
    tensors, rng = load_file(weights), np.random.default_rng(1)
    for name, values in tensors.items():
        if name.endswith("running_mean"):
            norm = name.removesuffix("running_mean")
            small = rng.standard_normal(values.shape) * 0.2
            tensors[name] = small.astype("float32")
            tensors[f"{norm}running_var"] = rng.uniform(0.5, 1.5, values.shape).astype("float32")
            tensors[f"{norm}weight"] = rng.uniform(0.7, 1.6, values.shape).astype("float32")
            tensors[f"{norm}bias"] = small[::-1].astype("float32")
    save_file(tensors, weights)
    write_onnx(network, folder / "model.onnx", weights)
    return folder / "model.onnx"


def outputs(path: Path, inputs: dict[str, Any] | None = None, seed: int = 0) -> list[Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, inputs or random_inputs(path, seed))


def random_inputs(path: Path, seed: int = 0) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    shapes = {v.name: [d if isinstance(d, int) else {"N": 3}.get(d, 64) for d in v.shape] for v in session.get_inputs()}
    return {name: rng.standard_normal(shape).astype("float32") for name, shape in shapes.items()}


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]


def names(path: Path) -> set[str]:
    return {tensor.name for tensor in onnx.load(path, load_external_data=False).graph.initializer}


def values(path: Path) -> dict[str, Any]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def assert_same(before: Path, after: Path, share: float = 1e-5) -> None:
    for seed in (0, 1):
        inputs = random_inputs(before, seed)
        for a, b in zip(outputs(before, inputs), outputs(after, inputs), strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype
            assert abs(a - b).max(initial=0) <= share * abs(a).max(initial=0)
            assert len(np.unique(a)) > 1 or a.size <= 1


@pytest.mark.parametrize(
    ("spec", "args", "left"),
    [
        ("specs/resnet.yaml:resnet18", {"classes": 10}, 0),
        ("specs/mobilenet_v2.yaml", {"classes": 10}, 0),
        ("specs/googlenet.yaml", {"classes": 10}, 0),
        ("specs/densenet.yaml", {"classes": 10}, 62),
    ],
)
def test_networks_compute_the_same_in_fewer_nodes(spec: str, args: dict[str, Any], left: int, tmp_path: Path) -> None:
    model = trained(spec, tmp_path, **args)
    found = optimise(model, tmp_path / "fast.onnx", ALL)
    fast = tmp_path / "fast.onnx"
    onnx.checker.check_model(str(fast), full_check=True)
    assert_same(model, fast)
    assert kinds(model).count("BatchNormalization") > kinds(fast).count("BatchNormalization") == left
    assert found.steps[-1].after == len(kinds(fast))
    before, after = load_file(tmp_path / "trained.safetensors"), load_file(tmp_path / "fast.safetensors")
    kept = before.keys() & after.keys()
    assert kept
    assert all(np.array_equal(before[name], after[name]) for name in kept)
    assert all(name.endswith(".folded") for name in after.keys() - before.keys())
    assert not left or "norm" in " ".join(kept)
    assert not any("running" in name for name in after) or left
    print(f"{spec}: {found.size_before} to {found.size_after} bytes, {found.steps[-1].worst}")


def written(text: str, folder: Path, **arrays: Any) -> Path:
    """A model in ONNX's own text form, with constants besides."""
    model = parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in arrays.items())
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def optimised(model: Path, *steps: Any, **plan: Any) -> Path:
    out = model.with_name("out.onnx")
    optimise(model, out, OptimisePlan(steps=steps or FLOAT_STEPS, **plan))
    onnx.checker.check_model(str(out), full_check=True)
    assert_same(model, out)
    return out


def floats(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype("float32")


def norm(channels: int) -> dict[str, Any]:
    return {
        "g": floats(channels, seed=1) + 2,
        "b": floats(channels, seed=2),
        "m": floats(channels, seed=3),
        "v": abs(floats(channels, seed=4)) + 0.5,
    }


LINEAR: dict[str, tuple[str, int, tuple[int, ...], tuple[int, ...]]] = {
    "conv": ("Conv <pads=[1,1,1,1]> (x, w)", 6, (2, 4, 5, 5), (6, 4, 3, 3)),
    "conv with bias": ("Conv (x, w, c)", 6, (2, 4, 5, 5), (6, 4, 3, 3)),
    "conv in groups": ("Conv <group=2, strides=[2,2]> (x, w, c)", 6, (2, 4, 5, 5), (6, 2, 3, 3)),
    "depthwise conv": ("Conv <group=4> (x, w)", 8, (2, 4, 5, 5), (8, 1, 3, 3)),
    "conv over one axis": ("Conv (x, w, c)", 6, (2, 4, 5), (6, 4, 3)),
    "transposed conv": ("ConvTranspose <strides=[2,2]> (x, w, c)", 6, (2, 4, 5, 5), (4, 6, 3, 3)),
    "transposed conv in groups": ("ConvTranspose <group=2> (x, w)", 6, (2, 4, 5, 5), (4, 3, 3, 3)),
    "linear": ("Gemm <transB=1> (x, w, c)", 6, (2, 4), (6, 4)),
    "linear, scaled": ("Gemm <alpha=0.5, beta=3.0> (x, w, c)", 6, (2, 4), (4, 6)),
    "linear without bias": ("Gemm <transB=1, alpha=2.0> (x, w)", 6, (2, 4), (6, 4)),
}


def stated(shape: tuple[int, ...], **changed: int) -> str:
    return ",".join(map(str, shape))


@pytest.mark.parametrize("case", LINEAR.values(), ids=LINEAR)
def test_a_norm_goes_into_the_layer_before_it(
    case: tuple[str, int, tuple[int, ...], tuple[int, ...]], tmp_path: Path
) -> None:
    call, channels, taken, weight = case
    text = f"g (float[{stated(taken)}] x) => (float[{','.join('abcd'[: len(taken)])}] y) {{ z = {call} \n"
    model = written(
        text + "y = BatchNormalization (z, g, b, m, v) }",
        tmp_path,
        w=floats(*weight),
        c=floats(channels),
        **norm(channels),
    )
    out = optimised(model, "fold-batch-norm")
    assert kinds(out) == [call.split()[0]]
    assert {"w", "g", "b", "m", "v"} & names(out) == set()
    assert {"w.folded", "c.folded" if "c)" in call else "w.bias.folded"} == names(out)


@pytest.mark.parametrize(("inputs", "count"), [("x, w, o", 2), ("x, w, o, c", 2), ("x, w, o, c, k", 2)])
def test_a_norm_goes_into_a_deformable_convolution(inputs: str, count: int, tmp_path: Path) -> None:
    text = "g (float[2,4,5,5] x, float[2,18,5,5] o, float[2,9,5,5] k) => (float[2,6,5,5] y, float[2,9,5,5] r)"
    call = f"z = DeformConv <kernel_shape=[3,3], pads=[1,1,1,1]> ({inputs}) \n r = Relu (k)"
    held = {"w": floats(6, 4, 3, 3), **({"c": floats(6)} if "c" in inputs else {})}
    model = written(f"{text} {{ {call} \n y = BatchNormalization (z, g, b, m, v) }}", tmp_path, **held, **norm(6))
    out = optimised(model, "fold-batch-norm")
    assert sorted(kinds(out)) == ["DeformConv", "Relu"]
    assert len(names(out)) == count


@pytest.mark.parametrize(
    ("call", "taken", "weight", "folds"),
    [
        ("Conv (z, w, c)", (2, 4, 5, 5), (6, 4, 3, 3), True),
        ("Conv <group=2> (z, w)", (2, 4, 5, 5), (6, 2, 3, 3), True),
        ("Conv <pads=[0,0,1,0]> (z, w, c)", (2, 4, 5, 5), (6, 4, 3, 3), False),
        ('Conv <auto_pad="SAME_UPPER"> (z, w, c)', (2, 4, 5, 5), (6, 4, 3, 3), False),
        ("ConvTranspose (z, w, c)", (2, 4, 5, 5), (4, 6, 3, 3), False),
        ("Gemm <alpha=2.0> (z, w, c)", (2, 4), (4, 6), True),
        ("Gemm <transB=1, beta=0.5> (z, w, c)", (2, 4), (6, 4), True),
    ],
)
def test_a_norm_goes_into_the_layer_after_it_where_that_is_exact(
    call: str, taken: tuple[int, ...], weight: tuple[int, ...], folds: bool, tmp_path: Path
) -> None:
    text = f"g (float[{stated(taken)}] x) => (float[{','.join('abcd'[: len(taken)])}] y) {{"
    model = written(
        f"{text} z = BatchNormalization (x, g, b, m, v) \n y = {call} }}",
        tmp_path,
        w=floats(*weight),
        c=floats(6),
        **norm(4),
    )
    assert ("BatchNormalization" not in kinds(optimised(model, "fold-batch-norm"))) == folds


@pytest.mark.parametrize(
    "body",
    [
        "z = Conv (x, w) \n y = BatchNormalization (z, g, b, m, v) \n s = Relu (z)",
        "s = Conv (x, w) \n y = BatchNormalization (s, g, b, m, v)",
        "z = Conv (x, w) \n r = Relu (z) \n y = BatchNormalization (r, g, b, m, v) \n s = Neg (r)",
        "z = Conv (x, w) \n q = Add (g, h) \n y = BatchNormalization (z, q, b, m, v) \n s = Relu (y)",
    ],
    ids=["read by others", "an output", "not next to it", "numbers that are computed"],
)
def test_norms_that_cannot_be_folded_stay(body: str, tmp_path: Path) -> None:
    text = "g (float[2,4,5,5] x, float[6] h) => (float[a,b,c,d] y, float[e,f,i,j] s)"
    model = written(f"{text} {{ {body} }}", tmp_path, w=floats(6, 4, 3, 3), **norm(6))
    out = optimised(model, "fold-batch-norm")
    assert kinds(out) == kinds(model)
    assert names(out) == names(model)


def test_a_weight_that_two_layers_share_is_folded_for_each(tmp_path: Path) -> None:
    norms = "y = BatchNormalization (p, g, b, m, v) \n s = BatchNormalization (q, b, g, m, v)"
    body = f"p = Conv (x, w) \n q = Conv (h, w) \n {norms}"
    text = "g (float[2,4,5,5] x, float[2,4,6,6] h) => (float[a,b,c,d] y, float[e,f,i,j] s)"
    out = optimised(written(f"{text} {{ {body} }}", tmp_path, w=floats(6, 4, 3, 3), **norm(6)), "fold-batch-norm")
    assert kinds(out) == ["Conv", "Conv"]
    assert {"w.folded", "w.folded_2"} <= names(out)


IMAGE = "g (float[N,3,8,8] x) => (float[N,a,b,c] y)"
NO_OPS = {
    "identity": "y = Identity (z)",
    "dropout": "y = Dropout (z)",
    "cast": "y = Cast <to=1> (z)",
    "transpose": "y = Transpose <perm=[0,1,2,3]> (z)",
    "reshape": "y = Reshape (z, same)",
    "slice": "y = Slice (z, zero, far, one)",
    "pad": "y = Pad (z, nothing)",
    "mul": "y = Mul (z, ones)",
    "mul by the second": "y = Mul (ones, z)",
    "div": "y = Div (z, ones)",
    "add": "y = Add (z, none)",
    "sub": "y = Sub (z, none)",
    "pow": "y = Pow (z, unit)",
    "concat of one": "y = Concat <axis=1> (z)",
    "twice": "p = Identity (z) \n q = Cast <to=1> (p) \n y = Identity (q)",
}
CONSTANTS: dict[str, Any] = {
    "same": np.array([0, 3, -1, 8]),
    "zero": np.array([0]),
    "far": np.array([2**62]),
    "one": np.array([1]),
    "nothing": np.zeros(8, "int64"),
    "ones": np.ones((1, 3, 1, 1), "float32"),
    "none": np.zeros((3, 1, 1), "float32"),
    "unit": np.array(1, "float32"),
}


def used(text: str) -> dict[str, Any]:
    words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
    return {name: value for name, value in CONSTANTS.items() if name in words}


@pytest.mark.parametrize("body", NO_OPS.values(), ids=NO_OPS)
def test_what_computes_nothing_is_dropped(body: str, tmp_path: Path) -> None:
    model = written(f"{IMAGE} {{ z = Relu (x) \n {body} }}", tmp_path, **used(body))
    out = optimised(model, "drop-no-ops")
    assert kinds(out) == ["Relu"]
    assert names(out) == set()


COUNTING = {
    "pad": "y = Pad (z, something)",
    "slice": "y = Slice (z, one, far, one)",
    "slice backwards": "y = Slice (z, end, start, one, back)",
    "widening": "y = Mul (z, wide)",
    "another order": "y = Transpose <perm=[0,1,3,2]> (z)",
    "one on the left": "y = Div (ones, z)",
    "one minus": "y = Sub (none, z)",
    "the input itself": "p = Identity (x) \n y = Add (p, z)",
}


@pytest.mark.parametrize("body", COUNTING.values(), ids=COUNTING)
def test_what_looks_like_nothing_stays(body: str, tmp_path: Path) -> None:
    more = {"something": np.array([0, 0, 0, 0, 0, 0, 0, 1]), "end": np.array([7]), "start": np.array([-9])}
    more |= {"back": np.array([-1]), "wide": np.ones((2, 1, 3, 1, 1), "float32")}
    text = "g (float[N,3,8,8] x) => (float[...] y)" if "wide" in body else IMAGE
    text = text.replace("float[...]", "float[d,N,a,b,c]")
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    model = written(
        f"{text} {{ z = Exp (x) \n {body} }}", tmp_path, **used(body), **{k: v for k, v in more.items() if k in words}
    )
    out = optimised(model, "drop-no-ops")
    assert len(kinds(out)) == 2


def test_a_dropout_whose_mask_is_read_stays(tmp_path: Path) -> None:
    body = "y, mask = Dropout (x) kept = Cast <to=1> (mask) out = Add (y, kept)"
    model = written(f"g (float[N,4] x) => (float[N,4] out) {{ {body} }}", tmp_path)
    assert "Dropout" in kinds(optimised(model))
    alone = written("g (float[N,4] x) => (float[N,4] out) { y = Dropout (x) out = Add (y, x) }", tmp_path)
    assert "Dropout" not in kinds(optimised(alone))


def test_an_output_of_another_type_is_infinitely_far() -> None:
    expected = np.float32([1, 2])
    trial = ParityTrial({}, {}, {"y": expected})
    assert [one.relative for one in _differences({"y": expected}, trial, None)] == [0]
    assert [one.relative for one in _differences({"y": expected.astype("float64")}, trial, None)] == [np.inf]
    assert not next(_differences({"y": expected.astype("float16")}, trial, 1.0)).ok


def test_equal_nodes_are_one(tmp_path: Path) -> None:
    body = "p = Mul (x, ones2) \n q = Mul (x, twos) \n r = Add (p, q) \n s = Add (q, p) \n y = Sub (r, s)"
    two = np.full((3, 1, 1), 2, "float32")
    model = written(
        f"{IMAGE} {{ {body} \n }}".replace("y = Sub (r, s)", "y = Concat <axis=1> (r, s)"),
        tmp_path,
        ones2=two,
        twos=two,
    )
    assert kinds(optimised(model, "drop-no-ops")) == ["Mul", "Add", "Concat"]


def test_random_numbers_are_never_one(tmp_path: Path) -> None:
    made = "p = RandomNormal <shape=[2]> () \n q = RandomNormal <shape=[2]> ()"
    body = f"{made} \n z = Sub (p, q) \n k = Mul (z, z) \n t = Sign (k) \n y = Add (x, t)"
    model = written(f"g (float[2] x) => (float[a] y) {{ {body} }}", tmp_path)
    assert kinds(optimised(model, "drop-no-ops")).count("RandomNormal") == 2


def test_bodies_are_read_and_renamed_in(tmp_path: Path) -> None:
    body = """
      p = Identity (x)
      t = ReduceSum <keepdims=0> (x)
      c = Less (t, zero)
      y = If (c) <
        then_branch = yes () => (float[N,3,8,8] a) { a = Neg (p) },
        else_branch = no () => (float[N,3,8,8] b) { q = Exp (p) b = Identity (q) }
      >
    """
    model = written(f"{IMAGE.replace('a,b,c', '3,8,8')} {{ {body} }}", tmp_path, zero=np.array(0, "float32"))
    assert kinds(optimised(model, "drop-no-ops")) == ["ReduceSum", "Less", "If"]


FUSED = {
    "sub, div": ("p = Sub (x, mean) \n y = Div (p, std)", ["Mul", "Add"]),
    "mul, mul": ("p = Mul (x, mean) \n y = Mul (p, std)", ["Mul"]),
    "four": ("p = Mul (x, mean) \n q = Add (std, p) \n r = Sub (mean, q) \n y = Div (r, std)", ["Mul", "Add"]),
    "into conv": ("p = Conv (x, w) \n q = Mul (p, mean) \n y = Add (q, std)", ["Conv"]),
    "out of conv": ("p = Div (x, std) \n y = Conv <pads=[1,1,1,1]> (p, w)", ["Conv"]),
    "out of conv, both": ("p = Sub (x, mean) \n q = Div (p, std) \n y = Conv (q, w)", ["Conv"]),
    "not over padding": ("p = Sub (x, mean) \n y = Conv <pads=[1,1,1,1]> (p, w)", ["Sub", "Conv"]),
    "into a norm": (
        "q = Relu (x) \n r = BatchNormalization (q, g, b, m, v) \n p = Add (r, std) \n y = Mul (p, mean)",
        ["Relu", "BatchNormalization"],
    ),
    "transposes": ("p = Transpose <perm=[0,2,3,1]> (x) \n y = Transpose <perm=[0,2,3,1]> (p)", ["Transpose"]),
    "there and back": (
        "r = Relu (x) \n p = Transpose <perm=[0,2,3,1]> (r) \n y = Transpose <perm=[0,3,1,2]> (p)",
        ["Relu"],
    ),
    "reshapes": ("p = Flatten (x) \n y = Reshape (p, to)", ["Reshape"]),
    "casts": ("p = Cast <to=11> (x) \n y = Cast <to=1> (p)", ["Cast"]),
    "casts that lose": ("p = Cast <to=10> (x) \n y = Cast <to=1> (p)", ["Cast", "Cast"]),
    "computed once": (
        "p = Exp (mean) \n q = Transpose <perm=[0,2,1]> (p) \n r = Mul (q, q) \n y = Div (x, r)",
        ["Div"],
    ),
    "shapes": ("s = Shape (mean) \n p = Gather (s, at) \n q = Cast <to=1> (p) \n y = Mul (x, q)", ["Mul"]),
}


@pytest.mark.parametrize(("body", "left"), FUSED.values(), ids=FUSED)
def test_constants_are_computed_and_joined(body: str, left: list[str], tmp_path: Path) -> None:
    arrays = {"mean": floats(3, 1, 1), "std": abs(floats(3, 1, 1, seed=1)) + 0.5, "w": floats(3, 3, 3, 3), **norm(3)}
    arrays |= {"to": np.array([-1, 2, 4, 8]), "at": np.array(0)}
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    model = written(f"{IMAGE} {{ {body} }}", tmp_path, **{k: v for k, v in arrays.items() if k in words})
    assert kinds(optimised(model, "fuse-constants")) == left


def test_constant_nodes_that_are_large_stay_computed(tmp_path: Path) -> None:
    body = "big = Expand (one, to) \n p = ReduceSum <keepdims=0> (big) \n y = Add (x, p)"
    arrays = {"one": np.array(1, "float32"), "to": np.array([4096, 4096])}
    model = written(f"{IMAGE} {{ {body} }}", tmp_path, **arrays)
    out = optimised(model, "fuse-constants")
    assert out.stat().st_size < 2000
    assert "Expand" in kinds(out)


STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["Mul", "Add", "Sub", "Div"]),
        st.sampled_from([(), (3, 1, 1), (1, 1, 1, 1), (4,)]),
        st.booleans(),
    ),
    st.tuples(st.just("Transpose"), st.permutations([0, 1, 2, 3]), st.just(False)),
    st.tuples(st.sampled_from(["Identity", "Relu", "Norm", "Conv", "Padded", "Same"]), st.just(()), st.booleans()),
)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, min_size=2, max_size=8), seed=st.integers(0, 99))
def test_any_chain_computes_the_same(steps: list[tuple[str, Any, bool]], seed: int, tmp_path_factory: Any) -> None:
    model = chain(steps, seed)
    folder = tmp_path_factory.mktemp("chain")
    onnx.save(model, folder / "model.onnx")
    optimise(folder / "model.onnx", folder / "out.onnx", ALL)
    assert_same(folder / "model.onnx", folder / "out.onnx")
    assert len(kinds(folder / "out.onnx")) <= len(kinds(folder / "model.onnx"))


def chain(steps: list[tuple[str, Any, bool]], seed: int) -> ModelProto:
    """Operators one after another over 2×3×4×4; some values are outputs too."""
    nodes, constants, results, shape, last = [], [], [], [2, 3, 4, 4], "x"

    def hold(array: Any) -> str:
        constants.append(numpy_helper.from_array(array, f"c{len(constants)}"))
        return str(constants[-1].name)

    for number, (kind, detail, flag) in enumerate(steps):
        name, inputs, attributes = f"v{number}", [last], {}
        channels, salt = shape[1], seed * 10 + number
        if kind in ("Mul", "Add", "Sub", "Div"):
            wanted = detail if np.broadcast_shapes(detail, (1, 1, 1, 1)) and _widens_not(detail, shape) else ()
            values = np.asarray(abs(floats(*wanted, seed=salt)) + 0.5, "float32")
            inputs = [hold(values), last] if flag and kind != "Div" else [last, hold(values)]
        elif kind == "Transpose":
            attributes["perm"], shape = list(detail), [shape[axis] for axis in detail]
        elif kind == "Norm":
            inputs += [hold(values) for values in norm(channels).values()]
        elif kind in ("Conv", "Padded"):
            size = 3 if kind == "Padded" else 1
            inputs += [hold(floats(channels, channels, size, size, seed=salt))]
            attributes["pads"] = [size // 2] * 4
        elif kind == "Same":
            inputs += [hold(np.array(shape))]
        op = {"Norm": "BatchNormalization", "Padded": "Conv", "Same": "Reshape"}.get(kind, kind)
        nodes.append(helper.make_node(op, inputs, [name], **attributes))
        if flag or number == len(steps) - 1:
            results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        last = name
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4, 4])
    graph = helper.make_graph(nodes, "chain", [given], results, constants)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])


def _widens_not(detail: tuple[int, ...], shape: list[int]) -> bool:
    return all(a in (1, b) for a, b in zip(detail[::-1], shape[::-1], strict=False))


def test_a_wrong_step_is_caught_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained("specs/resnet.yaml:resnet18", tmp_path, classes=10)
    right, seen = fold._affine, []

    def wrong(graph: Any, node: Any) -> Any:
        found = right(graph, node)
        seen.append(node.name)
        return (found[0], found[1] + 0.05) if found and len(seen) == 7 else found

    monkeypatch.setattr(fold, "_affine", wrong)
    with pytest.raises(NetcError) as error:
        optimise(model, tmp_path / "new" / "fast.onnx", ALL)
    assert error.value.diagnostics[0].code == "not-optimised"
    assert "fold-batch-norm" in error.value.diagnostics[0].message
    assert not list((tmp_path / "new").glob("*")) if (tmp_path / "new").exists() else True


@pytest.mark.parametrize("part", ["_by_output", "_bias", "_along"])
def test_every_part_of_a_fold_matters(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "g (float[2,4,5,5] x) => (float[a,b,c,d] y) { z = Conv (x, w, c) \n y = BatchNormalization (z, g, b, m, v) }"
    model = written(body, tmp_path, w=floats(6, 4, 3, 3), c=floats(6), **norm(6))
    right = getattr(absorb, part)
    monkeypatch.setattr(absorb, part, lambda *args: right(*args) * 1.001)
    with pytest.raises(NetcError, match="fold-batch-norm changes what is computed"):
        optimise(model, tmp_path / "out.onnx", ALL)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_network_that_jumps_is_said_to(tmp_path: Path) -> None:
    body = "p = Mul (x, small) \n q = Mul (p, large) \n y = Sin (q)"
    small, large = np.array(1e-3, "float32"), np.array(1e10, "float32")
    model = written(f"{IMAGE} {{ {body} }}", tmp_path, small=small, large=large)
    with pytest.raises(NetcError, match=r"fuse-constants changes .* last digit of its inputs is .* without any step"):
        optimise(model, tmp_path / "out.onnx", ALL)


def test_a_network_that_amplifies_rounding_may_differ_by_more(tmp_path: Path) -> None:
    body = "p = Mul (x, small) \n q = Mul (p, large) \n y = Sin (q)"
    small, large = np.array(1e-3, "float32"), np.array(1e6, "float32")
    model = written(f"{IMAGE} {{ {body} }}", tmp_path, small=small, large=large)
    (step, *_) = optimise(model, tmp_path / "out.onnx", ALL).steps
    assert step.worst is not None
    assert 2e-5 < step.worst.relative < 1e-2
    assert "4× its change with the last digit" in step.worst.amount()


def test_rounding_is_also_what_fusing_alone_changes(tmp_path: Path) -> None:
    """Whole numbers have no last digit to move, but onnxruntime folds the norm by itself, which rounds elsewhere."""
    body = "f = Cast <to=1> (x) \n z = Conv (f, w, c) \n y = BatchNormalization (z, g, b, m, v)"
    far = {**norm(6), "m": np.full(6, 1e4, "float32")}
    model = written(
        f"g (int64[2,4,5,5] x) => (float[2,6,3,3] y) {{ {body} }}", tmp_path, w=floats(6, 4, 3, 3), c=far["m"], **far
    )
    original = Original(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    unfused = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    for trial in trials(original.session, ALL):
        (found,) = original.roundings(trial)
        assert found.absolute == abs(trial.expected["y"] - unfused.run(None, trial.inputs)[0].astype("float64")).max()
        assert found.absolute > 0
        assert "fuses nothing" in found.measure


def test_where_the_file_has_no_numbers_there_need_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = written(f"{IMAGE} {{ p = Identity (x) \n y = Log (p) }}", tmp_path)
    found = optimise(model, tmp_path / "out.onnx", ALL)
    assert kinds(tmp_path / "out.onnx") == ["Log"]
    assert found.still == ()
    whole = written(
        f"{IMAGE} {{ p = Mul (x, none) \n q = Div (p, p) \n y = Identity (q) }}", tmp_path, none=CONSTANTS["none"]
    )
    assert optimise(whole, tmp_path / "out.onnx", ALL).still == ("y",)
    monkeypatch.setattr("netc.optimise.run.STEPS", {"drop-no-ops": _without_logarithm})
    with pytest.raises(NetcError, match="changes what is computed"):
        optimise(
            written(f"{IMAGE} {{ p = Identity (x) \n y = Log (p) }}", tmp_path),
            tmp_path / "o.onnx",
            OptimisePlan(steps=("drop-no-ops",)),
        )


def _without_logarithm(graph: Graph) -> None:
    for node in graph.all("Log"):
        node.op_type = "Relu"


def test_outputs_that_no_input_moves_are_named(tmp_path: Path) -> None:
    model = written(
        f"{IMAGE} {{ p = Mul (x, none) \n q = Exp (p) \n y = Identity (q) }}", tmp_path, none=CONSTANTS["none"]
    )
    report = optimise(model, tmp_path / "out.onnx", ALL)
    assert report.still == ("y",)
    assert "hardly changes" in "\n".join(report.lines())


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd"])
def test_tensors_from_elsewhere_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(10000))
    (tmp_path / "in").mkdir()
    model = onnx.load(
        written("g (float[N,4] x) => (float[N,6] y) { y = Gemm (x, w) }", tmp_path / "in", w=floats(4, 6))
    )
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "in" / "model.onnx").write_bytes(model.SerializeToString())
    done = invoke(tmp_path / "in" / "model.onnx", "-o", tmp_path / "in" / "out.onnx", "--all")
    assert done.exit_code == 1
    assert "model-file" in done.output
    assert not (tmp_path / "in" / "out.onnx").exists()


@pytest.mark.parametrize(
    ("module", "code", "words"),
    [
        ("graph", "not-optimised", r"GB of tensors would be new; only 2 GiB"),
        ("quantise", "cannot-quantise", r"GB .* 2 GiB"),
        ("run", "output-file", r"cannot write {out}: .* GB is too large for a single file"),
    ],
)
def test_what_one_message_cannot_hold_is_refused(
    module: str, code: str, words: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"netc.optimise.{module}.MOST", 10_000)
    out, int8 = tmp_path / "out.onnx", Calibration(data="random", samples=1) if module == "quantise" else None
    with pytest.raises(NetcError, match=words.format(out=out)) as error:
        optimise(digits, out, OptimisePlan(steps=FLOAT_STEPS, single=True, int8=int8))
    assert error.value.diagnostics[0].code == code
    assert list(tmp_path.iterdir()) == []


def test_a_weight_too_large_to_change_is_not_even_read(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr("netc.optimise.graph.MOST", 10_000)
    right = Graph.array
    monkeypatch.setattr(Graph, "array", lambda graph, name: (read.append(name), right(graph, name))[1])
    with pytest.raises(NetcError, match="would be new"):
        optimise(digits, tmp_path / "out.onnx", OptimisePlan(steps=("fold-batch-norm",)))
    sizes = {tensor.name: np.prod(tensor.dims) for tensor in onnx.load(digits).graph.initializer}
    assert read
    assert max(sizes[name] for name in read) < 2500


def test_old_opsets_are_refused(tmp_path: Path) -> None:
    model = onnx.load(written(f"{IMAGE} {{ y = Relu (x) }}", tmp_path))
    model.opset_import[0].version = 6
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(NetcError, match="opset 6"):
        optimise(tmp_path / "model.onnx", tmp_path / "out.onnx", ALL)


def invoke(*args: object) -> Result:
    return CliRunner().invoke(cli, ["optimize", *map(str, args)])


def test_a_spec_is_optimised_and_its_weights_stay(tmp_path: Path) -> None:
    network = compiled("examples/digits.yaml")
    weights = init_weights(network, tmp_path / "digits.safetensors", 3).path
    data = weights.read_bytes()
    done = invoke(
        ROOT / "examples/digits.yaml", "--weights", weights, "-o", tmp_path / "digits.onnx", "--all", "--json"
    )
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert weights.read_bytes() == data
    assert report["files"] == [str(tmp_path / "digits.onnx"), str(tmp_path / "digits.weights.safetensors")]
    assert [step["name"] for step in report["steps"]] == list(FLOAT_STEPS)
    assert report["steps"][-1]["after"] < report["steps"][-1]["before"]
    assert report["size_after"] == sum(Path(file).stat().st_size for file in report["files"])
    model = onnx.load(tmp_path / "digits.onnx", load_external_data=False)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert {"spec", "netc_version"} <= {item.key for item in model.metadata_props}


def test_functions_are_written_out(tmp_path: Path) -> None:
    network = compiled("examples/digits.yaml")
    weights = init_weights(network, tmp_path / "w.safetensors", 3)
    write_onnx(network, tmp_path / "model.onnx", weights.path, OnnxOptions(functions=True))
    out = optimised(tmp_path / "model.onnx")
    assert "BatchNormalization" not in kinds(out)
    assert not onnx.load(out, load_external_data=False).functions


def test_one_file_stays_one_file(tmp_path: Path) -> None:
    network = compiled("examples/digits.yaml")
    weights = init_weights(network, tmp_path / "w.safetensors", 3)
    write_onnx(network, tmp_path / "model.onnx", weights.path, OnnxOptions(placement="single"))
    out = optimised(tmp_path / "model.onnx")
    assert not out.with_suffix(".safetensors").exists()
    (tmp_path / "b").mkdir()
    write_onnx(network, tmp_path / "b" / "model.onnx", weights.path)
    single = optimised(tmp_path / "b" / "model.onnx", single=True)
    assert not single.with_suffix(".safetensors").exists()
    assert values(single).keys() == values(out).keys()
    assert all(np.array_equal(array, values(out)[name]) for name, array in values(single).items())


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["{model}", "-o", "{out}"], 2, "choose what to do"),
        (["{model}", "-o", "{out}", "--int8"], 2, "--calibrate"),
        (["{model}", "-o", "{out}", "--all", "--keep", "x"], 2, "need --int8"),
        (["{model}", "-o", "{model}", "--all"], 1, "choose another name"),
        (["{out}", "-o", "{out}2.onnx", "--all"], 1, "no such file"),
        (["{model}", "-o", "{out}", "--all", "--bind", "q=3"], 1, "unknown-symbol"),
        (["{model}", "-o", "{out}", "--int8", "--calibrate", "nowhere"], 1, "is not a folder of pictures"),
        (["{model}", "-o", "{out}", "--int8", "--calibrate", "{folder}"], 1, "holds no pictures"),
        (["{model}", "-o", "{out}", "--int8", "--calibrate", "random", "--keep", "q*"], 1, "matches no node"),
        (["{model}", "-o", "{out}", "--all", "--tolerance", "0"], 1, "not-optimised"),
    ],
)
def test_what_cannot_be_done_is_said(args: list[str], code: int, words: str, digits: Path, tmp_path: Path) -> None:
    places = {"model": digits, "out": tmp_path / "out.onnx", "folder": tmp_path}
    done = invoke(*(arg.format(**places) for arg in args))
    assert done.exit_code == code
    assert words in done.output
    assert not (tmp_path / "out.onnx").exists()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("examples/digits.yaml", tmp_path_factory.mktemp("digits"))


def quantised(model: Path, out: Path, **how: Any) -> Any:
    found = optimise(model, out, OptimisePlan(steps=FLOAT_STEPS, int8=Calibration(**how)))
    onnx.checker.check_model(str(out), full_check=True)
    assert found.int8 is not None
    return found


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_eight_bits_are_near_and_the_drift_is_measured(method: Any, digits: Path, tmp_path: Path) -> None:
    data = floats(12, 3, 32, 32)
    np.save(tmp_path / "data.npy", data)
    found = quantised(digits, tmp_path / "int8.onnx", data=str(tmp_path / "data.npy"), method=method)
    (drift,) = found.int8.drift
    before, after = (
        np.concatenate([outputs(p, {"image": x[None]})[0] for x in data]) for p in (digits, tmp_path / "int8.onnx")
    )
    a, b = before.astype("float64").ravel(), after.astype("float64").ravel()
    assert drift.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert drift.snr == pytest.approx(20 * np.log10(np.linalg.norm(a) / np.linalg.norm(a - b)))
    assert drift.top1 == (before.argmax(1) == after.argmax(1)).mean()
    assert drift.cosine > 0.99
    assert drift.snr < 80
    assert found.size_after < found.size_before / 3
    tensors = load_file(tmp_path / "int8.safetensors")
    assert sum(t.size for t in tensors.values() if t.dtype == np.int8) > 0.9 * sum(t.size for t in tensors.values())


def test_weights_are_symmetric_per_channel_and_kept_nodes_are_not_touched(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    found = quantised(digits, out, data="random", samples=2, keep=("head*", "stem*"), symmetric=True)
    model = onnx.load(out)
    assert {name.split(".")[0] for name in found.int8.kept} == {"head", "stem"}
    held = values(out)
    scales = [node.input[1:] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert max(held[scale].size for scale, *_ in scales) == 64
    assert not any(held[zero].any() for _, zero in scales)
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    convs = {node.name: makers.get(node.input[1]) for node in model.graph.node if node.op_type in ("Conv", "Gemm")}
    assert {name for name, maker in convs.items() if maker != "DequantizeLinear"} == {
        name for name in convs if name.startswith(("head", "stem"))
    }
    assert len(convs) > 4


def test_pictures_calibrate(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "below").mkdir(parents=True)
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype="uint8")
        Image.fromarray(pixels).save(tmp_path / "pictures" / ("below" if number % 2 else ".") / f"{number}.png")
    np.savez(tmp_path / "other.npz", image=floats(3, 3, 32, 32))
    out, other = tmp_path / "int8.onnx", tmp_path / "other.npz"
    done = invoke(
        digits,
        "-o",
        out,
        "--int8",
        "--calibrate",
        tmp_path / "pictures",
        "--size",
        32,
        "--samples",
        4,
        "--evaluate",
        other,
    )
    assert done.exit_code == 0, done.output
    assert "calibrated on 4 pictures" in done.output
    assert f"on 3 samples of {other}" in done.output
    assert "QuantizeLinear" in kinds(out)
    few = invoke(digits, "-o", out, "--int8", "--calibrate", tmp_path / "pictures", "--size", 32, "--samples", 9)
    assert "calibrated on 5 pictures" in few.output


def test_an_optimised_file_in_eight_bits_keeps_them(digits: Path, tmp_path: Path) -> None:
    quantised(digits, tmp_path / "int8.onnx", data="random", samples=2)
    found = optimise(tmp_path / "int8.onnx", tmp_path / "again.onnx", ALL)
    assert found.size_after <= found.size_before
    assert kinds(tmp_path / "again.onnx") == kinds(tmp_path / "int8.onnx")


def test_the_largest_values_tell_no_class(tmp_path: Path) -> None:
    body = "z = Gemm <transB=1> (x, w) \n y, i = TopK (z, three)"
    text = f"g (float[N,8] x) => (float[N,3] y, int64[N,3] i) {{ {body} }}"
    model = written(text, tmp_path, w=floats(10, 8), three=np.array([3]))
    found = quantised(model, tmp_path / "int8.onnx", data="random", samples=4)
    (drift,) = found.int8.drift
    assert (drift.output, drift.top1) == ("y", None)


def test_samples_come_in_batches_of_the_bound_size(digits: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", floats(7, 3, 32, 32))
    out, data = tmp_path / "int8.onnx", tmp_path / "data.npy"
    done = invoke(digits, "-o", out, "--int8", "--calibrate", data, "--bind", "N=3")
    assert done.exit_code == 0, done.output
    assert "calibrated on 6 samples" in done.output
    one = invoke(digits, "-o", out, "--int8", "--calibrate", data, "--samples", 1)
    assert "calibrated on 1 sample of" in one.output
    few = invoke(digits, "-o", out, "--int8", "--calibrate", data, "--bind", "N=8")
    assert few.exit_code == 1
    assert f"{data} holds 7 samples; the model takes 8 at once" in few.output


def drift_of(a: Any, b: Any) -> tuple[float, float]:
    sums = _Sum()
    sums.add(np.array(a), np.array(b), False)
    found = sums.drift("y")
    return found.cosine, found.snr


def test_drift_is_told_where_nothing_is_there_or_nothing_is_lost() -> None:
    assert drift_of([3.0, 4.0], [3.0, 4.0]) == (1.0, np.inf)
    assert drift_of([0.0, 0.0], [0.0, 0.0]) == (1.0, np.inf)
    assert drift_of([0.0, 0.0], [3.0, 4.0]) == (0.0, -np.inf)
    cosine, snr = drift_of([3.0, 4.0], [4.0, 3.0])
    assert cosine == pytest.approx(24 / 25)
    assert snr == pytest.approx(10 * np.log10(25 / 2))


def test_a_name_that_was_given_away_has_no_maker(tmp_path: Path) -> None:
    model = written("g (float[2] x) => (float[2] z) { y = Relu (x) \n z = Identity (y) }", tmp_path)
    graph = Graph(read_model(model), tmp_path)
    relu, same = graph
    graph.join(relu, same)
    assert (graph.maker("y"), graph.maker("z")) == (None, relu)
