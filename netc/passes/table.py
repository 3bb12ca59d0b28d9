"""A table of layers as text, fitted to a width."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape

import msgspec

from netc.dims import Size, count_text
from netc.literals import scaled
from netc.passes.cost import Cost

HEADS = ("Layer", "Operator", "Output", "Parameters", "MACs", "Memory", "Field", "Step")
GAP = 2
NARROWEST = 8
_SHRINKS = (0, 1, 2)
_WORK = (4, 5)
_DROPS = (7, 5, 6, 1, 4, 2)
_NUMBER = re.compile(r"\d[\d,]{3,}")
RIGHT = frozenset({3, 4, 5, 6, 7})


class TableRow(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One line; `note` replaces the work of a layer that evaluation does not compute."""

    label: str
    op: str
    output: str
    cost: Cost
    field: str
    step: str = ""
    note: str = ""
    subtotal: bool = False

    def cells(self) -> list[str]:
        work = self.note or number(self.cost.macs)
        counts = number(self.cost.parameters), work, number(self.cost.memory)
        return [self.label, self.op, self.output, *counts, self.field, self.step]


def number(size: Size | None) -> str:
    """`25,557,032`, `4,096·h·w`, nothing for 0."""
    if size is None:
        return "?"
    return count_text(size) if size else ""


def table(title: str, rows: Sequence[TableRow], totals: Cost, width: int | None) -> str:
    """Title, head, rows and totals, with what trains where some is frozen. What does not fit is shortened first and, on
    very narrow terminals, left out."""
    foot = footing(totals)
    lines = [list(HEADS), *(row.cells() for row in rows), *foot]
    widths = _widths(lines)
    if width is not None and _total(widths, range(len(HEADS))) > width:
        lines = [_with_short_work(cells) for cells in lines]
        widths = _widths(lines)
    shown = _fit(widths, width)
    text = [(" " * GAP).join(_cell(cells[i], widths[i], i in RIGHT) for i in shown).rstrip() for cells in lines]
    rule = "─" * (sum(widths[i] for i in shown) + GAP * (len(shown) - 1))
    body, last = text[1 : -len(foot)], text[-len(foot) :]
    return "\n".join([_cut(title, width or len(title)), "", text[0], rule, *body, rule, *last]) + "\n"


def footing(totals: Cost) -> list[list[str]]:
    """The last lines: totals and, where some of them are frozen, which parameters train."""
    rows = [("total", totals.parameters, number(totals.macs) or "0", number(totals.memory) or "0")]
    if totals.trainable != totals.parameters:
        rows.append(("trainable", totals.trainable, "", ""))
        rows.append(("frozen", totals.parameters - totals.trainable, "", ""))
    return [[label, "", "", number(count) or "0", macs, memory, "", ""] for label, count, macs, memory in rows]


def html_table(title: str, rows: Sequence[TableRow], totals: Cost) -> str:
    """The same as an HTML table; depth is shown by indents."""
    head = "".join(f"<th>{name}</th>" for name in HEADS)
    indents = [len(row.label) - len(row.label.lstrip()) for row in rows]
    lines = [_html_row(row.cells(), indent) for row, indent in zip(rows, indents, strict=True)]
    lines += [_html_row(cells, 0) for cells in footing(totals)]
    top = f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
    return f"<table>{top}<tbody>{''.join(lines)}</tbody></table>"


def _html_row(cells: Sequence[str], indent: int) -> str:
    texts = [escape(cell.strip()) for cell in cells]
    first = f'<td style="text-align:left;padding-left:{indent / 2 + 0.5}em">{texts[0]}</td>'
    sides = ("right" if n in RIGHT else "left" for n in range(1, len(texts)))
    rest = (f'<td style="text-align:{side}">{text}</td>' for side, text in zip(sides, texts[1:], strict=True))
    return f"<tr>{first}{''.join(rest)}</tr>"


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _with_short_work(cells: Sequence[str]) -> list[str]:
    """Work in three figures: `2.41M·h·w`."""
    return [_NUMBER.sub(_short, cell) if column in _WORK else cell for column, cell in enumerate(cells)]


def _short(digits: re.Match[str]) -> str:
    return scaled(int(digits[0].replace(",", ""))).replace(" ", "")


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    """A plain table at its natural width: heads, a rule, a line per row."""
    lines = [list(heads), *map(list, rows)]
    widths = _widths(lines)
    shown = [i for i, width in enumerate(widths) if any(row[i] for row in rows)]
    text = [(" " * GAP).join(_cell(c[i], widths[i], i in right) for i in shown).rstrip() for c in lines]
    return "\n".join([text[0], "─" * _total(widths, shown), *text[1:]]) + "\n"


def _fit(widths: list[int], width: int | None) -> list[int]:
    """Shortens `widths` in place; returns the columns that stay."""
    shown = [i for i, w in enumerate(widths) if w]
    if width is None:
        return shown
    while _total(widths, shown) > width:
        widest = max(_SHRINKS, key=lambda column: widths[column])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
    for column in _DROPS:
        if _total(widths, shown) > width and column in shown:
            shown.remove(column)
    return shown


def _total(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[i] for i in shown) + GAP * (len(shown) - 1)


def _cell(text: str, width: int, right: bool) -> str:
    text = _cut(text, width)
    return text.rjust(width) if right else text.ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
