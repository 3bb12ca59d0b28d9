"""docs/import_corpus.md, from what was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from tools.import_corpus.networks import SETS, Entry
from tools.import_corpus.rows import ROOT, Key, Row, share

PAGE = ROOT / "docs" / "import_corpus.md"
HEAD = """# Networks imported again

Measured by `make import-corpus`; generated, do not edit. Equal means: operators, attributes, wiring, parameters and
multiply-accumulates are the same, and so is the value of every statement in PyTorch, or in onnxruntime for files, at
two sizes where these are open. Weights are fresh, with tensors that are all zeros or ones moved apart.

*From* is what was imported: the module, or an ONNX file by either of PyTorch's exporters (`onnx-legacy` at opset 17 or
as it says) or by netc. *Named* and *unnamed* are lines of the imported spec with the names of the source and with every
name ignored; *kept* is how many tensors of the weights have their names in the source. *By hand* is lines of the spec
of [specs/](../specs) that a person wrote for this network or its family, without its list of variants, with the files
and library blocks that it imports. timm's networks are the smallest or nearly so of each of its families; three that
have none below 80 million parameters are not listed. What has no row was not measured. *Seconds* are processor
time of building, exporting, importing and comparing.
"""
TITLES = {"torchvision": "torchvision", "timm": "timm", "specs": "The specs of this repository"}
TABLE = """| network | from | operators | by hand | named | unnamed | kept | equal, or why not | seconds |
|---|---|---|---|---|---|---|---|---|"""


def page(entries: Sequence[Entry], rows: Mapping[Key, Row]) -> str:
    parts = [HEAD, _summary(entries, rows)]
    for name in SETS:
        of_set = [entry for entry in entries if entry.set == name]
        lines = [line for entry in of_set for line in _lines(entry, rows)]
        if lines:
            parts += [f"## {TITLES[name]}\n", "\n".join([TABLE, *lines]) + "\n"]
    return "\n".join(parts)


def _summary(entries: Sequence[Entry], rows: Mapping[Key, Row]) -> str:
    """For each set, source and choice of names: how many are equal, and how long their specs are."""
    groups: dict[tuple[int, str, str], list[Row]] = defaultdict(list)
    for key, row in rows.items():
        groups[SETS.index(key.set), key.source, key.names].append(row)
    lines = ["| set | from | names | measured | median lines | beside specs by hand |", "|---|---|---|---|---|---|"]
    for (at, source, names), found in sorted(groups.items()):
        there = sum(entry.set == SETS[at] for entry in entries)
        equal = [row for row in found if row.equal]
        lengths = f"{median(row.lines for row in equal):.0f}" if equal else "–"
        told = f"{share(found)}; {there - len(found)} not measured" if there > len(found) else share(found)
        lines.append(f"| {SETS[at]} | {source} | {names} | {told} | {lengths} | {_beside(equal)} |")
    return "\n".join(lines) + "\n"


def _beside(equal: Iterable[Row]) -> str:
    """How many times as long imported specs are as those that people wrote."""
    ratios = sorted(row.lines / row.hand for row in equal if row.hand)
    return f"median {median(ratios):.2f}×, longest {ratios[-1]:.2f}×" if ratios else "–"


def _lines(entry: Entry, rows: Mapping[Key, Row]) -> Iterable[str]:
    mine = [row for key, row in rows.items() if (key.set, key.network) == (entry.set, entry.name)]
    for source in sorted({row.key.source for row in mine}):
        both = {row.key.names: row for row in mine if row.key.source == source}
        lines = [str(both[n].lines or "–") if n in both else "" for n in ("keep", "none")]
        one = both.get("keep") or both["none"]
        kept = f"{one.kept}/{one.tensors}" if one.tensors and "keep" in both else ""
        operators = max(row.operators for row in both.values()) or "–"
        seconds = sum(row.seconds for row in both.values())
        cells = [
            entry.name,
            source,
            operators,
            entry.hand or "–",
            *lines,
            kept,
            _told(both),
            f"{seconds:.0f}" if seconds else "–",
        ]
        yield f"| {' | '.join(map(str, cells))} |"


def _told(both: Mapping[str, Row]) -> str:
    """Equal, or why not; with which names, where only one of the two is."""
    wrong = {names: row.why for names, row in both.items() if not row.equal}
    if not wrong:
        worst = max(row.worst for row in both.values())
        return f"equal, to {worst:.0e}" if worst else "equal"
    why = next(iter(wrong.values())).replace("|", "\\|")
    return why if len(wrong) == len(both) else f"names {next(iter(wrong))}: {why}"
