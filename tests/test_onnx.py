"""ONNX files: names, weights left in their file, what is computed and what is left out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from handmade import Wiring, one_op
from safetensors.numpy import load_file, save_file

import netc
from netc.backends.onnx import build_model, model_bytes, write_onnx, write_onnx_fresh
from netc.backends.onnx.proto import add_attribute, set_constant
from netc.diagnostics.model import NetcError
from netc.dims import symbol
from netc.ir.model import Network
from netc.ops import OPERATORS
from netc.ops.base import Op
from netc.ops.records import OnnxConst, Unsupported
from netc.passes.sizes import typical
from netc.types import TensorType
from netc.verify.graph import check_file, check_shapes
from netc.weights import init_weights, read_index

SPECS = sorted(path.name for path in (Path(__file__).parents[1] / "specs").glob("*.yaml"))


def compiled(text: str) -> Network:
    return netc.load(f"netc: 1\nname: small\n{text}\n").ir


SMALL = """inputs: {image: [N, 3, 8*h, 8]}
net:
  stem: [conv2d 4 3 padding=1, batch_norm2d, relu]
  drop: dropout
  body: {do: {a: conv2d 4 1 @drop, sum: add @a @drop}}
outputs: {result: body}
"""


def test_names_are_those_of_the_spec_and_the_state_dict(tmp_path: Path) -> None:
    write_onnx_fresh(compiled(SMALL), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert [(n.name, n.op_type) for n in model.graph.node] == [
        ("stem.0", "Conv"),
        ("stem.1", "BatchNormalization"),
        ("stem.2", "Relu"),
        ("body.a", "Conv"),
        ("body.sum", "Add"),
    ]
    weights = load_file(tmp_path / "model.safetensors")
    assert {i.name for i in model.graph.initializer} == weights.keys() - {"stem.1.num_batches_tracked"}
    assert [v.name for v in (*model.graph.input, *model.graph.output)] == ["image", "result"]


def test_the_header_says_what_the_file_is(tmp_path: Path) -> None:
    network = compiled(SMALL)
    model = build_model(network)
    assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (10, [("", 21)])
    assert (model.producer_name, model.producer_version) == ("netc", netc.__version__)
    assert {p.key: p.value for p in model.metadata_props} == {
        "spec": "small",
        "spec_sha256": network.file.sha256,
        "netc_version": netc.__version__,
    }


def test_symbolic_sizes_are_dim_params() -> None:
    model = build_model(compiled(SMALL))
    dims = [d.dim_param or d.dim_value for v in model.graph.input for d in v.type.tensor_type.shape.dim]
    assert dims == ["N", 3, "8*h", 8]


def test_weights_are_read_where_they_lie(tmp_path: Path) -> None:
    write_onnx_fresh(compiled(SMALL), tmp_path / "model.onnx", seed=5)
    weights = load_file(tmp_path / "model.safetensors")
    data = (tmp_path / "model.safetensors").read_bytes()
    for tensor in onnx.load(tmp_path / "model.onnx", load_external_data=False).graph.initializer:
        where = {item.key: item.value for item in tensor.external_data}
        start, length = int(where["offset"]), int(where["length"])
        assert where["location"] == "model.safetensors"
        assert data[start : start + length] == weights[tensor.name].tobytes()
    loaded = onnx.load(tmp_path / "model.onnx")
    arrays = {i.name: onnx.numpy_helper.to_array(i) for i in loaded.graph.initializer}
    assert all(np.array_equal(arrays[name], weights[name]) for name in arrays)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    index = init_weights(compiled(SMALL), tmp_path / "w.safetensors")
    assert model_bytes(compiled(SMALL), index) == model_bytes(compiled(SMALL), index)


@pytest.mark.parametrize("name", SPECS)
def test_onnx_infers_the_shapes_of_every_spec(name: str, tmp_path: Path) -> None:
    network = netc.load(Path(__file__).parents[1] / "specs" / name).ir
    (tmp_path / "model.onnx").write_bytes(build_model(network).SerializeToString())
    shapes = [v.type.shape for v in network.block.inputs]
    for sizes in ({}, {"N": 3, "h": 9, "w": 8, "H": 230, "W": 257, "D": 40, "L": 300}):
        least = network.domain.bounds
        binding = typical(shapes, least, {name: max(size, least.get(name, 1)) for name, size in sizes.items()})
        found = check_shapes(tmp_path / "model.onnx", binding)
        assert found.ok, found.detail


def test_what_only_training_needs_is_left_out(tmp_path: Path) -> None:
    network = compiled(
        "inputs: {image: [N, 3, 8, 8]}\nnet:\n  stem: conv2d 4 3\n  aux: conv2d 2 1 @stem\n  main: conv2d 5 1 @stem\n"
        "outputs: {main: main, aux: {from: aux, when: train}}"
    )
    write_onnx_fresh(network, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert [o.name for o in model.graph.output] == ["main"]
    assert not any(
        "aux" in text for text in (*(n.name for n in model.graph.node), *(i.name for i in model.graph.initializer))
    )
    assert "aux.weight" in load_file(tmp_path / "model.safetensors")


def test_shared_weights_exist_once(tmp_path: Path) -> None:
    network = compiled(
        "inputs: {image: [N, 4, 8, 8]}\nshared: {head: conv2d 4 1}\n"
        "net: {a: head @image, b: head @a, out: add @a @b}\noutputs: {out: out}"
    )
    write_onnx_fresh(network, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert sorted(i.name for i in model.graph.initializer) == ["head.bias", "head.weight"]
    assert [list(n.input)[1:] for n in model.graph.node if n.op_type == "Conv"] == [["head.weight", "head.bias"]] * 2
    assert check_file(tmp_path / "model.onnx").ok


def test_outputs_may_be_inputs_repeats_and_names_of_others(tmp_path: Path) -> None:
    wiring = Wiring()
    x = wiring.input("image", symbol("N"), 4)
    (a,) = wiring.add("a", OPERATORS["relu"](), x)
    (b,) = wiring.add("b", OPERATORS["sigmoid"](), a)
    (silent,) = wiring.add("drop", OPERATORS["dropout"](), x)
    for name, value in (("b", a), ("a", b), ("again", b), ("same", x), ("dropped", silent)):
        wiring.output(name, value)
    write_onnx_fresh(wiring.network(), tmp_path / "model.onnx")
    assert check_file(tmp_path / "model.onnx").ok
    array = np.linspace(-2, 2, 8, dtype="float32").reshape(2, 4)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"image": array}), strict=True))
    relu = np.maximum(array, 0)
    sigmoid = 1 / (1 + np.exp(-relu))
    wanted = {"b": relu, "a": sigmoid, "again": sigmoid, "same": array, "dropped": array}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


def test_names_that_meet_are_kept_apart(tmp_path: Path) -> None:
    wiring = Wiring()
    x = wiring.input("fc", 2, 4)
    (a,) = wiring.add("fc.weight", OPERATORS["relu"](), x)
    (b,) = wiring.add("fc", OPERATORS["linear"](out_features=4), a)
    (c,) = wiring.add("out", OPERATORS["tanh"](), b)
    (d,) = wiring.add("more", OPERATORS["tanh"](), c)
    wiring.output("out", d)
    write_onnx_fresh(wiring.network(), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    made = [*(i.name for i in model.graph.input), *(i.name for i in model.graph.initializer)]
    made += [name for node in model.graph.node for name in node.output]
    assert len(made) == len(set(made))
    assert check_file(tmp_path / "model.onnx").ok
    onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])


def test_weights_from_elsewhere_are_copied_beside_the_model(tmp_path: Path) -> None:
    network = compiled(SMALL)
    source = tmp_path / "trained" / "w.safetensors"
    source.parent.mkdir()
    init_weights(network, source, seed=9)
    write_onnx(network, tmp_path / "out" / "model.onnx", source)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == source.read_bytes()
    assert (tmp_path / "out" / "model.safetensors").stat().st_nlink == 1
    assert check_file(tmp_path / "out" / "model.onnx").ok
    assert sorted(os.listdir(tmp_path / "out")) == ["model.onnx", "model.safetensors"]


def test_weights_in_the_same_directory_are_used_where_they_are(tmp_path: Path) -> None:
    network = compiled(SMALL)
    init_weights(network, tmp_path / "w.safetensors")
    write_onnx(network, tmp_path / "model.onnx", tmp_path / "w.safetensors")
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "w.safetensors"]
    assert check_file(tmp_path / "model.onnx").ok


@pytest.mark.parametrize("name", ["w.safetensors", "model.safetensors"])
def test_a_link_to_weights_elsewhere_becomes_a_copy(name: str, tmp_path: Path) -> None:
    network = compiled(SMALL)
    (tmp_path / "far").mkdir()
    init_weights(network, tmp_path / "far" / "w.safetensors")
    (tmp_path / name).symlink_to(tmp_path / "far" / "w.safetensors")
    write_onnx(network, tmp_path / "model.onnx", tmp_path / name)
    assert check_file(tmp_path / "model.onnx").ok
    onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])


def test_weights_that_the_library_wrote_need_no_padding(tmp_path: Path) -> None:
    network = compiled(SMALL)
    init_weights(network, tmp_path / "fresh.safetensors")
    save_file(load_file(tmp_path / "fresh.safetensors"), tmp_path / "w.safetensors")
    for name in ("fresh", "w"):
        write_onnx(network, tmp_path / f"{name}.onnx", tmp_path / f"{name}.safetensors")
    array = np.random.default_rng(0).standard_normal((2, 3, 16, 8), dtype="float32")
    results = [
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"]).run(
            None, {"image": array}
        )[0]
        for name in ("fresh", "w")
    ]
    assert read_index(tmp_path / "w.safetensors").tensors["stem.0.weight"].start % 4096
    assert np.array_equal(*results)


def test_weights_that_do_not_fit_leave_the_earlier_model_alone(tmp_path: Path) -> None:
    save_file({"other": np.zeros(3, "float32")}, tmp_path / "w.safetensors")
    (tmp_path / "model.onnx").write_text("earlier")
    with pytest.raises(NetcError) as caught:
        write_onnx(compiled(SMALL), tmp_path / "model.onnx", tmp_path / "w.safetensors")
    assert {d.code for d in caught.value.diagnostics} == {"weights-missing", "weights-extra"}
    assert (tmp_path / "model.onnx").read_text() == "earlier"
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "w.safetensors"]


def test_everything_that_onnx_lacks_is_named(tmp_path: Path) -> None:
    class Impossible(Op):
        name = "impossible"

        def infer(self, *x: TensorType) -> TensorType:
            return x[0]

        def onnx(self, *x: TensorType) -> tuple[()]:
            raise Unsupported("there is no such thing")

    wiring = Wiring()
    x = wiring.input("image", 2, 4)
    (a,) = wiring.add("a", Impossible(), x)
    (b,) = wiring.add("b", Impossible(), a)
    wiring.output("out", b)
    with pytest.raises(NetcError) as caught:
        write_onnx_fresh(wiring.network(), tmp_path / "model.onnx")
    assert [(d.code, d.path) for d in caught.value.diagnostics] == [
        ("onnx-unsupported", "a"),
        ("onnx-unsupported", "b"),
    ]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "bfloat16", "float64", "int64", "int32", "int8", "uint8", "bool"]
)
def test_constants_hold_their_values(dtype: str) -> None:
    values = (True, False, True) if dtype == "bool" else (1, 0, 3) if "int" in dtype else (1.0, -0.5, 3.0)
    message = onnx.TensorProto()
    set_constant(message, "c", OnnxConst("c", dtype, (3, 1), values))
    found = onnx.numpy_helper.to_array(message)
    assert found.shape == (3, 1)
    assert found.astype("float64").ravel().tolist() == [float(v) for v in values]


@pytest.mark.parametrize("value", [3, True, 0.5, "×", (1, 2), (), (0.5, 2), ("a", "b")])
def test_attributes_hold_their_values(value: object) -> None:
    node = onnx.NodeProto()
    add_attribute(node, "name", value)
    onnx.checker.check_attribute(node.attribute[0])
    found = onnx.helper.get_attribute_value(node.attribute[0])
    plain = [v.decode() if isinstance(v, bytes) else v for v in (found if isinstance(value, tuple) else [found])]
    assert plain == list(value if isinstance(value, tuple) else [value])


def test_float16_networks_run(tmp_path: Path) -> None:
    write_onnx_fresh(
        one_op(OPERATORS["linear"](out_features=3), TensorType((2, 5), "float16")), tmp_path / "model.onnx"
    )
    assert check_file(tmp_path / "model.onnx").ok
    weights = load_file(tmp_path / "model.safetensors")
    array = np.linspace(-1, 1, 10, dtype="float16").reshape(2, 5)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    wide = array.astype("float32") @ weights["node.weight"].T.astype("float32") + weights["node.bias"]
    np.testing.assert_allclose(session.run(None, {"in0": array})[0], wide, rtol=2e-3, atol=1e-3)
