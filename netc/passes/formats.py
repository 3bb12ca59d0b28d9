"""Tables as other programs want them: Markdown, CSV, LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from netc.passes.table import columns

Form = Literal["table", "markdown", "csv", "latex"]
Rows = Sequence[Sequence[str]]

_COUNT = re.compile(r"\d{1,3}(?:,\d{3})+")
_QUOTED = re.compile(r'[",\n\r]')
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "−": "$-$",
    "⌊": r"$\lfloor$",
    "⌋": r"$\rfloor$",
    "⌈": r"$\lceil$",
    "⌉": r"$\rceil$",
    "∂": r"$\partial$",
    "²": "$^2$",
    "³": "$^3$",
    "…": r"\dots{}",
}


def markdown(heads: Sequence[str], rows: Rows, right: Collection[int]) -> str:
    """A table of GitHub's kind; indentation is kept."""
    rule = ["---:" if i in right else "---" for i in range(len(heads))]
    lines = [[_escaped(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in [heads, rule, *lines])


def csv(heads: Sequence[str], rows: Rows, right: Collection[int]) -> str:
    """Comma-separated values (RFC 4180, lines ending in a newline); counts without the commas between digits."""
    plain = [[_COUNT.sub(lambda digits: digits[0].replace(",", ""), cell.strip()) for cell in row] for row in rows]
    return "".join(",".join(map(_quoted, line)) + "\n" for line in [heads, *plain])


def latex(heads: Sequence[str], rows: Rows, right: Collection[int]) -> str:
    """A `tabular` with the rules of the package booktabs."""
    kinds = "".join("r" if i in right else "l" for i in range(len(heads)))
    head, *body = [" & ".join(map(_in_latex, line)) + r" \\" for line in [heads, *rows]]
    lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


FORMATS: dict[Form, Callable[[Sequence[str], Rows, Collection[int]], str]] = {
    "table": columns,
    "markdown": markdown,
    "csv": csv,
    "latex": latex,
}


def _escaped(cell: str) -> str:
    indented = len(cell) - len(cell.lstrip())
    return "&nbsp;" * indented + cell.lstrip().replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*")


def _quoted(cell: str) -> str:
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if _QUOTED.search(cell) else cell


def _in_latex(cell: str) -> str:
    indented = len(cell) - len(cell.lstrip())
    return r"\quad " * (indented // 2) + "".join(_LATEX.get(sign, sign) for sign in cell.lstrip())
