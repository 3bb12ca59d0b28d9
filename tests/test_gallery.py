"""Every network of the gallery against its published figures, torchvision, PyTorch and onnxruntime.

Each is compiled, counted and laid beside torchvision's. The first of each spec is run at a small size; `-m full` runs
all, and at full size, as `make gallery` does.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from safetensors.torch import load_file, save_file

import netc
from netc.ir.flat import flatten, parameters
from netc.verify.network import verify
from tests.vision import torchvision
from tools.gallery.entries import (
    SPECS,
    Counts,
    Entry,
    Published,
    Sizes,
    all_entries,
    counts,
    misses,
    read_entries,
    run_quickly,
    symbols_of,
)
from tools.gallery.figures import Figure, agrees, below, parse_figure, scaled
from tools.gallery.measure import PEER_TOLERANCE, is_stale, measure, peer_difference, valid
from tools.gallery.page import PAGE, page
from tools.gallery.peers import (
    build_module,
    build_peer,
    largest_difference,
    random_inputs,
    randomise,
    run_ours,
    run_peer,
    shapes_of,
    share_weights,
)
from tools.gallery.thumbnails import THUMBNAILS, thumbnail, thumbnail_path

ENTRIES = all_entries()
LINES = {"resnet.yaml": 60, "googlenet.yaml": 60, "densenet.yaml": 50, "faster_rcnn_fpn.yaml": 120}
"""No spec is longer than it has to be: files of families stay under so many lines."""
THUMBNAIL_BYTES = 3_000_000
TORCHVISION = "torchvision 0.28"
"""The source of figures that torchvision states with its weights."""


def _every(entries: tuple[Entry, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=[entry.name for entry in entries])


def _running(entries: tuple[Entry, ...]) -> pytest.MarkDecorator:
    """Those that the quick tests run, and the others under the marker `full`."""
    marked = [pytest.param(e, id=e.name, marks=() if run_quickly(e) else pytest.mark.full) for e in entries]
    return pytest.mark.parametrize("entry", marked)


WITH_PEER = tuple(entry for entry in ENTRIES if entry.peer is not None)
every = _every(ENTRIES)
running = _running(ENTRIES)


@every
def test_checks_cleanly(entry: Entry) -> None:
    assert sorted(warning.code for warning in entry.load().check()) == sorted(entry.warnings)


@every
def test_sizes_name_the_symbols_of_the_inputs(entry: Entry) -> None:
    symbols = symbols_of(entry.load())
    assert (entry.small.bind.keys(), entry.full.bind.keys()) == (symbols, symbols)


@every
def test_every_network_has_a_published_figure(entry: Entry) -> None:
    assert entry.published


@every
def test_published_figures_are_met_or_explained(entry: Entry) -> None:
    for published in entry.published:
        assert misses(published, counts(entry.spec)) == published.difference.keys(), published.source


@_every(tuple(entry for entry in WITH_PEER if any(p.source == TORCHVISION for p in entry.published)))
def test_figures_said_to_be_torchvisions_are(entry: Entry) -> None:
    assert entry.peer is not None
    known = [weights.meta for weights in torchvision.models.get_model_weights(entry.peer.name)]
    for published in (p for p in entry.published if p.source == TORCHVISION):
        if published.parameters is not None:
            assert published.parameters in {meta["num_params"] for meta in known}
        if published.macs is not None:
            assert any(agrees(round(meta["_ops"] * 1e9), published.macs) for meta in known)


@_every(WITH_PEER)
def test_keys_and_shapes_are_torchvisions(entry: Entry) -> None:
    assert entry.peer is not None
    ours = build_module(entry.load(Sizes(args=entry.full.args)), "meta")
    assert shapes_of(ours) == shapes_of(build_peer(entry.peer))


@_running(tuple(entry for entry in ENTRIES if "classes" in entry.small.args))
def test_classes_are_a_constructor_argument(entry: Entry) -> None:
    """One module serves every number of classes."""
    classes = entry.small.args["classes"]
    wanted = parameters(flatten(entry.load(Sizes(args={**entry.full.args, "classes": classes})).ir))
    module = build_module(entry.load(Sizes(args=entry.full.args)), "meta", classes=classes)
    assert shapes_of(module) == {key: param.shape for key, param, _ in wanted}


@running
def test_runs_and_trains_as_in_onnxruntime(entry: Entry, tmp_path: Path) -> None:
    """Shapes, eval outputs and a training step, on weights as after training."""
    network = entry.load(Sizes(args=entry.small.args))
    module = build_module(network, drawn=False)
    randomise(module, entry.scales)
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    report = verify(network.ir, tmp_path / "model.safetensors", bind=entry.small.bind)
    assert report.ok, "\n".join(report.lines())


@running
def test_fresh_weights_load_strictly(entry: Entry, tmp_path: Path) -> None:
    network = entry.load(Sizes(args=entry.small.args))
    network.write_weights(tmp_path / "model.safetensors", seed=0)
    module = build_module(network, drawn=False)
    module.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    assert [name for name, p in module.named_parameters() if not p.isfinite().all()] == []


@running
def test_gradients_reach_every_parameter(entry: Entry) -> None:
    network = entry.load(entry.small)
    module = build_module(network, drawn=False)
    randomise(module, entry.scales)
    torch.manual_seed(0)
    results = run_ours(network, module.train(), random_inputs(network)).values()
    torch.stack([(t * torch.randn_like(t)).sum() for t in results if t.requires_grad]).sum().backward()
    trained = {name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}
    expected = {name for name, p in module.named_parameters() if p.requires_grad and not _excused(entry, name)}
    assert trained == expected


def _excused(entry: Entry, parameter: str) -> bool:
    return any(fnmatchcase(parameter, glob) for glob in entry.untrained)


@_running(WITH_PEER)
def test_values_are_torchvisions(entry: Entry) -> None:
    assert peer_difference(entry, entry.small) <= PEER_TOLERANCE


@_running(tuple(entry for entry in WITH_PEER if entry.peer is not None and entry.peer.train))
def test_training_is_torchvisions(entry: Entry) -> None:
    """Outputs of training and the statistics it leaves, dropout drawing the same random numbers on both sides."""
    assert entry.peer is not None
    network = entry.load(entry.small)
    ours, theirs, inputs = (
        build_module(network, drawn=False),
        build_peer(entry.peer, small=True),
        random_inputs(network),
    )
    share_weights(ours, theirs, entry.scales)
    with torch.no_grad():
        torch.manual_seed(0)
        mine = run_ours(network, ours.train(), inputs)
        torch.manual_seed(0)
        other = run_peer(entry.peer, theirs.train(), inputs, next(iter(mine)))
    assert largest_difference(mine, other) <= PEER_TOLERANCE
    statistics = theirs.state_dict()
    assert [key for key, tensor in ours.state_dict().items() if not torch.equal(tensor, statistics[key])] == []


@pytest.mark.full
@_every(tuple(entry for entry in ENTRIES if not entry.unmeasured))
def test_measures_at_full_size_as_the_page_says(entry: Entry) -> None:
    assert measure(entry) == valid()[entry.name]


def test_every_spec_and_variant_is_in_the_gallery() -> None:
    there = {entry.spec for entry in ENTRIES}
    wanted = {name for path in SPECS.glob("*.yaml") for name in _variants(path)}
    assert there == wanted


def _variants(path: Path) -> list[str]:
    variants = netc.load(path).ir.file.variants
    return [f"{path.name}:{variant.name}" for variant in variants] or [path.name]


@pytest.mark.parametrize("name", [name for name in LINES if (SPECS / name).exists()])
def test_specs_are_short(name: str) -> None:
    assert len((SPECS / name).read_text("utf-8").splitlines()) < LINES[name]


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == page(valid()), "run `python -m tools.gallery --pages`"


@pytest.mark.full
def test_every_network_was_measured_as_it_is() -> None:
    """`python -m tools.gallery --stale` measures those listed; until then the page says that they are not."""
    assert [entry.name for entry in ENTRIES if is_stale(entry)] == []


def test_thumbnails_are_fresh_and_small() -> None:
    """`python -m tools.gallery --pages` draws them."""
    assert {path.name for path in THUMBNAILS.iterdir()} == {thumbnail_path(entry).name for entry in ENTRIES}
    firsts = {entry.path: entry for entry in reversed(ENTRIES)}.values()
    stale = [entry.name for entry in firsts if thumbnail(entry) != thumbnail_path(entry).read_text("utf-8")]
    assert stale == []
    for path in THUMBNAILS.iterdir():
        ElementTree.parse(path)
    assert sum(path.stat().st_size for path in THUMBNAILS.iterdir()) < THUMBNAIL_BYTES


@pytest.mark.parametrize(
    ("found", "figure", "fits"),
    [
        (25_557_032, 25_557_032, True),
        (25_557_033, 25_557_032, False),
        (60_500_000, "61M", True),
        (60_499_999, "61M", False),
        (61_500_001, "61M", False),
        (4_089_184_256, "4.09e9", True),
        (4_089_184_256, "4.1 G", True),
        (4_089_184_256, "4.10G", False),
        (569, "0.57k", True),
    ],
)
def test_figures_are_compared_at_their_own_precision(found: int, figure: Figure, fits: bool) -> None:
    assert agrees(found, figure) is fits


@pytest.mark.parametrize("text", ["about 61M", "61 million", "", "-3", "1,000"])
def test_other_texts_are_no_figures(text: str) -> None:
    with pytest.raises(ValueError, match="no figure"):
        parse_figure(text)


def test_numbers_are_printed_short_and_differences_in_powers_of_ten() -> None:
    assert [scaled(n) for n in (0, 999, 1000, 4_089_184_256)] == ["0", "999", "1 k", "4.09 G"]
    assert [below(d) for d in (0.0, 3e-9, 1e-6, 9.9e-6, 0.5, 3.0, float("nan"))] == [
        *("equal", "< 1e-6", "< 1e-5", "< 1e-5", "< 1e0", "large", "large")
    ]


def test_a_missed_figure_and_an_idle_excuse_are_told_apart() -> None:
    published = Published(source="a paper", parameters="61M", macs=700, outputs={"logits": [1, 10]})
    assert misses(published, Counts(61_100_840, 700, {"logits": [1, 10]})) == set()
    assert misses(published, Counts(62_000_000, 701, {"logits": [1, 11]})) == {"parameters", "macs", "logits"}
    assert misses(published, Counts(61_100_840, None, {})) == {"macs", "logits"}


ENTRY = "- {spec: mlp.yaml, section: S, small: {}, full: {}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{ENTRY}, size: 3}}", "unknown field `size`"),
        (f"{ENTRY}, peer: {{nane: alexnet}}}}", "unknown field `nane`|missing required field `name`"),
        (f"{ENTRY}, published: [{{parameters: 3}}]}}", "missing required field `source`"),
        (f"{ENTRY}, published: [{{source: S}}]}}", "no figures"),
        (f"{ENTRY}, published: [{{source: S, macs: many}}]}}", "no figure"),
        (
            f"{ENTRY}, published: [{{source: S, macs: 3, difference: {{parameters: D}}}}]}}",
            "difference without a figure",
        ),
    ],
)
def test_a_wrong_entry_is_refused_by_file_and_reason(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "topic.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"topic\.yaml: .*({reason})"):
        read_entries(path)
