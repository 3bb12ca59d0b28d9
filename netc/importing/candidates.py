"""Specs for a graph: with the structure that names tell, with what repeats, and without any; the shortest right one
wins."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from netc.budget import LIMIT, limited
from netc.diagnostics.model import Diagnostic, Source
from netc.importing.blocks import compose
from netc.importing.bodies import Refused, told
from netc.importing.discover import discover, discover_spans
from netc.importing.graph import Gap, Graph, Node
from netc.importing.naming import group, unique
from netc.importing.parts import Part, flat, tree
from netc.importing.paths import places
from netc.importing.printing import Printer
from netc.importing.sameness import Parting, compare
from netc.importing.templates import Template
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.ops.base import OPERATORS
from netc.passes import compile_spec
from netc.syntax.names import objection

NamesMode = Literal["keep", "readable", "none"]
LONG = 60
"""Lines from which on a spec with the source's names is compared with one without."""

MUCH = 1.5
"""How much longer a spec may be for names to be kept."""

SMALL = 20
"""Operators of a network that reads well without blocks."""

NAMED = "from the names of its modules"

TRIES = 12
"""Blocks of one candidate that may be parted before it is given up."""

STEPS = 1_000
"""Steps that checking may take for each operator of the source, whose number is bounded where it is read."""

SETTINGS = ("bias", "eps", "momentum", "ceil_mode", "count_include_pad")
"""Attributes that a file may say once for an operator."""


class Candidate(msgspec.Struct, frozen=True, eq=False):
    """A spec that is the graph. `places`: path → node."""

    way: str
    text: str
    network: Network
    places: dict[str, Node]
    warnings: tuple[Diagnostic, ...]

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def cost(self) -> tuple[int, int]:
        """Fewer lines are better, then fewer characters; long lines are read like several."""
        return sum(1 + len(line) // 130 for line in self.text.splitlines()), len(self.text)


def best(graph: Graph, name: str, mode: NamesMode, note: Callable[[str], None]) -> Candidate:
    """Raises Gap where no spec is the graph."""
    name_ends(graph)
    candidates: list[Candidate] = []
    problems: list[str] = []
    for way, grown in _ways(mode, any(node.scope or node.path for node in graph.nodes)):
        note(f"finding structure ({way})")
        for merges in (True,):
            candidate = _candidate(graph, name, way, grown, merges, problems)
            if candidate is not None:
                candidates.append(candidate)
        if mode == "keep" and candidates and way == NAMED and _is_told(candidates[0], graph):
            break
    if not candidates:
        raise Gap(f"no spec of it is the same network; the last was refused: {problems[-1] if problems else '?'}")
    if mode == "keep" and candidates[0].way == NAMED and candidates[0].lines <= MUCH * min(c.lines for c in candidates):
        return candidates[0]
    return min(candidates, key=lambda candidate: (bool(candidate.warnings), candidate.cost))


def _is_told(candidate: Candidate, graph: Graph) -> bool:
    """Whether the names of the source told a structure, or there is none to be told."""
    return len(graph.nodes) < SMALL or (bool(candidate.network.file.blocks) and candidate.lines < LONG)


def _ways(mode: NamesMode, named: bool) -> Iterator[tuple[str, Callable[[Graph], Part]]]:
    if mode != "none" and named:
        yield NAMED, tree
    yield "from what repeats", discover
    yield "from what repeats", discover_spans
    yield "without blocks", flat


def _candidate(
    graph: Graph, name: str, way: str, grown: Callable[[Graph], Part], merges: bool, problems: list[str]
) -> Candidate | None:
    split: set[str] = set()
    for _ in range(TRIES):
        try:
            templates = compose(grown(graph), graph, split)
        except Refused as refused:
            problems.append(f"{way}: {refused}")
            return None
        network = _checked(graph, name, way, templates, merges)
        if isinstance(network, Candidate):
            return network
        problems.append(f"{way}: {network.path}: {network.why}")
        cls = _guilty(network, templates)
        if cls is None or cls in split:
            return None
        split.add(cls)
    return None


def _checked(graph: Graph, name: str, way: str, templates: list[Template], merges: bool) -> Candidate | Parting:
    outside = [*(value.name for value in graph.inputs), *graph.shared.values()]
    for template in templates:
        group(template, merges, () if template.name else outside)
    results = [result for result, _ in graph.outputs]
    text = Printer(templates, graph, results, file_defaults(graph)).text(name, graph.gaps())
    with limited(max(LIMIT, STEPS * len(graph.nodes))):
        network, diagnostics = compile_spec(Source("<imported>", text), args={}, variant=None, bind={})
    if network is None:
        first = next(d for d in diagnostics if d.severity == "error")
        return Parting(first.trail[-1].name if first.trail else "", f"{first.code}: {first.message}")
    where = places(templates)
    parting = compare(flatten(network), graph, where)
    if parting is not None:
        return parting
    return Candidate(way, text, network, where, network.warnings)


def _guilty(parting: Parting, templates: list[Template]) -> str | None:
    """The class of the innermost block around a place, if that has several modules."""
    for template in reversed(templates):
        if template.name == parting.path and len(template.modules) > 1:
            return template.cls
    guilty = None
    for template in templates:
        for module in template.modules:
            if len(template.modules) > 1 and _around(template, module, parting.path, templates):
                guilty = guilty or template.cls
    return guilty


def _around(template: Template, module: Part, path: str, templates: list[Template]) -> bool:
    node = places(templates).get(path)
    return node is not None and node in set(module.nodes())


def file_defaults(graph: Graph) -> dict[tuple[str, str], Any]:
    """What most statements of an operator say otherwise than the operator itself does."""
    counts: dict[tuple[str, str], Counter[Any]] = {}
    said = {graph.shared.get(node, node): node for node in graph.nodes}
    for node in said.values():
        for key, value in told(node.op).items():
            if key in SETTINGS:
                counts.setdefault((node.op.name, key), Counter())[value] += 1
    defaults = {}
    for (op, key), values in counts.items():
        value, times = values.most_common(1)[0]
        if times > 1 and value != OPERATORS[op].attributes[key].default:
            defaults[op, key] = value
    return defaults


def name_ends(graph: Graph) -> None:
    """Give inputs and outputs names that a spec may have, the source's where that is possible."""
    taken: set[str] = set()
    owners = {node.path.partition(".")[0] for node in graph.nodes if node.params}
    for value in graph.inputs:
        word = _word(value.name, _usual(value.type.rank))
        value.name = unique(f"{word}_input" if word in owners else word, "input", taken)
        taken.add(value.name)
    named = []
    for at, (name, value) in enumerate(graph.outputs):
        word = _word(name, "output" if len(graph.outputs) == 1 else f"output{at + 1}")
        word = unique(word.lstrip("_") or "output", "output", taken)
        taken.add(word)
        named.append((word, value))
    graph.outputs = named


def _usual(rank: int) -> str:
    return {4: "image", 3: "tokens", 5: "volume"}.get(rank, "input")


def _word(name: str, usual: str) -> str:
    """The source's name where it is a word; numbers and paths of an exporter are none."""
    word = re.sub(r"\W+", "_", name).strip("_")
    if re.fullmatch(r"_\w{0,59}", name) and objection(name, "input") is None:
        return name
    return usual if not word[:1].isalpha() or re.fullmatch(r"x\d*|in(put)?(_layer)?(_\d+)?|\d+", word) else word[:60]
