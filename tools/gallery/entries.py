"""The entries: what is known about each network of `specs/`, one YAML file per topic."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import msgspec.yaml

import netc
from netc.passes.sizes import bound_shape, names_in
from tools.gallery.figures import Figure, agrees, parse_figure

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"
ENTRIES = Path(__file__).parent / "entries"
TOPICS = ("convnets", "efficient", "segmentation", "detection", "sequences", "transformers")
"""The order of the gallery; other topics follow by name."""

Shape = list[int]


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a network is built. bind: a number for each symbol of its inputs; args: arguments of the spec."""

    bind: dict[str, int] = {}
    args: dict[str, Any] = {}


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures from one source, of the network at `full`.

    parameters: trainable elements. macs: multiply-accumulates for a batch of one. outputs: shapes, by output, of the
    batch in `full`. difference: figure → why the network misses it; an excuse that is not needed is an error.
    """

    source: str
    parameters: Figure | None = None
    macs: Figure | None = None
    outputs: dict[str, Shape] = {}
    difference: dict[str, str] = {}


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """torchvision's network of the same names and shapes.

    name: as `torchvision.models.get_model` knows it. arguments: of its builder (weights are always none); small: those
    that go with `small`. outputs: our output → path in its result (`out`, `aux.0`); none is needed where the result is
    our first output. wrapper: a function of `tools.gallery.wrappers` that makes the peer take our inputs. train: also
    compare what both compute in train mode, from equal random numbers. frozen_norms: its batch norms never train, as
    where torchvision's detectors are given trained weights.
    """

    name: str
    arguments: dict[str, Any] = {}
    small: dict[str, Any] = {}
    outputs: dict[str, str] = {}
    wrapper: str = ""
    train: bool = True
    frozen_norms: bool = False


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network of the gallery.

    spec: `file.yaml` or `file.yaml:variant`. small, full: for the quick tests, and as published. note: a sentence for
    the page. warnings: codes that `netc check` reports, each of them. quick: run it in the quick tests; without it the
    first entry of each file is. unmeasured: why it is never run at full size. untrained: glob over parameters that get
    no gradient → why. scales: glob over the state_dict → factor of the random values in comparisons, for networks in
    which they would grow without bounds.
    """

    spec: str
    section: str
    small: Sizes
    full: Sizes
    published: list[Published] = []
    peer: Peer | None = None
    note: str = ""
    warnings: list[str] = []
    quick: bool | None = None
    unmeasured: str = ""
    untrained: dict[str, str] = {}
    scales: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The variant, or the file's name."""
        file, _, variant = self.spec.partition(":")
        return variant or Path(file).stem

    @property
    def path(self) -> Path:
        return SPECS / self.spec.partition(":")[0]

    @property
    def lines(self) -> int:
        return len(self.path.read_text("utf-8").splitlines())

    def load(self, sizes: Sizes | None = None, *, bind: bool = True) -> netc.Network:
        """The network; without sizes as the spec says, for every size."""
        chosen = sizes or Sizes()
        return _load(str(SPECS / self.spec), _frozen(chosen.args), _frozen(chosen.bind if bind else {}))


class Counts(msgspec.Struct, frozen=True):
    """What is counted without running anything: parameters, MACs of a batch of one, output shapes at `full`."""

    parameters: int
    macs: int | None
    outputs: dict[str, Shape]


def _frozen(values: dict[str, Any]) -> bytes:
    return msgspec.json.encode(values)


@cache
def _load(spec: str, args: bytes, bind: bytes) -> netc.Network:
    return netc.load(spec, args=msgspec.json.decode(args), bind=msgspec.json.decode(bind))


@cache
def topics() -> dict[str, tuple[Entry, ...]]:
    """Topic → its entries, in the order of the gallery. Raises ValueError naming the file that is wrong."""
    found = {path.stem: path for path in ENTRIES.glob("*.yaml")}
    order = [name for name in TOPICS if name in found] + sorted(found.keys() - set(TOPICS))
    read = {name: read_entries(found[name]) for name in order}
    _refuse_doubles(entry.name for entries in read.values() for entry in entries)
    return read


def all_entries() -> tuple[Entry, ...]:
    """Every entry, in the order of the gallery."""
    return tuple(entry for entries in topics().values() for entry in entries)


def run_quickly(entry: Entry) -> bool:
    """Whether the quick tests run the network: where it says so, and else the first of each file."""
    first = next(other for other in all_entries() if other.path == entry.path)
    return entry is first if entry.quick is None else entry.quick


def read_entries(path: Path) -> tuple[Entry, ...]:
    """The entries of a file. Raises ValueError with the file's name and what is wrong."""
    try:
        entries = msgspec.yaml.decode(path.read_bytes(), type=tuple[Entry, ...])
        for published in (published for entry in entries for published in entry.published):
            _check_published(published)
    except (msgspec.ValidationError, ValueError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    return entries


def _check_published(published: Published) -> None:
    given = {name: figure for name in ("parameters", "macs") if (figure := getattr(published, name)) is not None}
    for figure in given.values():
        parse_figure(figure)
    if not given and not published.outputs:
        raise ValueError(f"{published.source}: no figures")
    if unknown := published.difference.keys() - given.keys() - published.outputs.keys():
        raise ValueError(f"{published.source}: difference without a figure: {', '.join(sorted(unknown))}")


def _refuse_doubles(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise ValueError(f"two entries are called {name}")
        seen.add(name.lower())


def symbols_of(network: netc.Network) -> set[str]:
    """The symbols of a network's inputs."""
    return {name for type_ in network.inputs.values() for name in names_in(type_.shape)}


@cache
def counts(spec: str) -> Counts:
    """The counts of the entry of that spec, at `full`."""
    entry = next(entry for entry in all_entries() if entry.spec == spec)
    single = Sizes({**entry.full.bind, **({"N": 1} if "N" in entry.full.bind else {})}, entry.full.args)
    summary = entry.load(single).summary()
    outputs = entry.load(entry.full).outputs
    shapes = {name: list(bound_shape(type_.shape, {})) for name, type_ in outputs.items()}
    return Counts(summary.parameters, summary.macs if isinstance(summary.macs, int) else None, shapes)


def misses(published: Published, found: Counts) -> set[str]:
    """The published figures that the network does not meet."""
    missed = {name for name, shape in published.outputs.items() if found.outputs.get(name) != shape}
    if published.parameters is not None and not agrees(found.parameters, published.parameters):
        missed.add("parameters")
    if published.macs is not None and (found.macs is None or not agrees(found.macs, published.macs)):
        missed.add("macs")
    return missed
