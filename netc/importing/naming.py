"""Names of blocks, arguments and statements: those of the source where netc allows them, else by what a thing does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from netc.importing.align import Column
from netc.importing.arguments import CHANNELS, DEPTH, Argument
from netc.importing.bodies import Ref
from netc.importing.templates import Template
from netc.ops.base import OPERATORS, Family
from netc.syntax.names import Role, objection, part_objection

ROLES = {
    "add": "sum",
    "mul": "scaled",
    "concat": "joined",
    "multihead_attention": "attention",
    "linear": "fc",
    "scaled_dot_product_attention": "attended",
    "adaptive_avg_pool2d": "pool",
    "adaptive_avg_pool1d": "pool",
    "max_pool2d": "pool",
    "avg_pool2d": "pool",
    "conv2d": "conv",
    "conv1d": "conv",
    "conv3d": "conv",
    "batch_norm2d": "norm",
    "batch_norm1d": "norm",
    "layer_norm": "norm",
    "layer_norm2d": "norm",
    "group_norm": "norm",
    "interpolate": "up",
    "conv_transpose2d": "up",
    "buffer": "table",
    "parameter": "table",
}
"""What a statement without a name is called, by its operator; by the operator's own name otherwise."""

LEADS = {"adaptive_avg_pool2d": 5, "max_pool2d": 4, "avg_pool2d": 4, "concat": 3, "add": 3, "mul": 2, "interpolate": 3}
"""Which member names a chain of statements without names."""

MERGES = frozenset({"add", "mul", "concat"})


def snake(cls: str) -> str:
    """`torchvision.models.resnet.Bottleneck` → `bottleneck`"""
    word = re.sub(r"\W", "_", cls.rsplit(".", 1)[-1])
    word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", word).lower()
    word = re.sub(r"_+", "_", word).strip("_")
    return word if word[:1].isalpha() else f"block_{word}".rstrip("_")


def unique(word: str, role: Role, taken: Iterable[str]) -> str:
    """A name that is allowed and free: with `_` where the word is reserved, with a number where it is taken."""
    used = set(taken)
    stem = word[:80] if objection(word[:80], role) is None else f"{word[:80]}_"
    if objection(stem, role) is not None:
        stem = re.sub(r"\W", "_", f"n_{word[:80]}")
    name, count = stem, 1
    while name in used or objection(name, role) is not None:
        count += 1
        name = f"{stem}{'_' if stem[-1].isdigit() else ''}{count}"
    return name


def block_name(cls: str, taken: Iterable[str]) -> str:
    word = snake(cls) or "block"
    if word in OPERATORS:
        word += "_block"
    return unique(word, "block", [*taken, *OPERATORS])


def name_arguments(template: Template) -> dict[str, str]:
    """Key → name of all arguments of a block."""
    arguments = list(template.arguments)
    channels = [argument for argument in arguments if argument.kind == CHANNELS]
    words = {1: ["width"], 2: ["hidden", "width"]}.get(len(channels), [f"c{i + 1}" for i in range(len(channels))])
    taken: set[str] = set()
    for argument, word in [*zip(channels, words, strict=True), *((a, a.hint) for a in arguments if a not in channels)]:
        argument.name = unique(re.sub(r"\W", "_", word), "argument", taken)
        taken.add(argument.name)
    return {argument.key: argument.name for argument in arguments}


def signature_kind(argument: Argument) -> bool:
    return argument.kind in (CHANNELS, DEPTH)


def group(template: Template, merges: bool, taken: Sequence[str] = ()) -> None:
    """Put together what is written as one statement, and name the statements. taken: names that none may have."""
    readers: Counter[Ref] = Counter(ref for c in template.columns for ref in (*c.refs, *c.named.values()))
    readers.update(template.outs)
    template.groups = []
    for at, column in enumerate(template.columns):
        before = template.groups[-1] if template.groups else None
        source = ("at", at - 1, "")
        joins = merges and before is not None and _free(before[-1]) and _free(column)
        if joins and before is not None and column.refs == [source] and readers[source] == 1:
            before.append(column)
        else:
            template.groups.append([column])
    template.titles = []
    for i, columns in enumerate(template.groups):
        last = i == len(template.groups) - 1
        template.titles.append(_title(columns, last, template, taken))
        for column in columns:
            column.text = template.titles[-1]


def _free(column: Column) -> bool:
    """Can it be a member of a chain without that its parameters get other names?"""
    cell = column.first
    return (
        column.members is None
        and not column.condition
        and not column.named
        and not column.optional
        and cell.node is not None
        and not cell.has_params()
        and len(cell.node.outputs) == 1
        and cell.start is None
        and bool(column.refs)
    )


def _title(columns: list[Column], last: bool, template: Template, taken: Sequence[str]) -> str:
    inner = bool(template.name)
    lead = max(columns, key=lambda c: LEADS.get(c.first.op, 0))
    result = inner and last and columns[-1].first.op not in ("",) and len(template.outs) == 1
    if result and any(c.first.op in MERGES for c in columns) and columns[0].refs:
        word = "out"
    else:
        word = next((c.first.name for c in columns if c.first.name), "") if len(columns) == 1 else lead.first.name
        if not word or (not _is_owner(lead) and any(_is_owner(c) and c.first.name == word for c in template.columns)):
            word = _role(lead)
    return _free_title(_clean(word), [*taken, *template.titles])


def _is_owner(column: Column) -> bool:
    """Whether the source has parameters by its name, which they keep only where nothing else takes it."""
    return column.first.node is not None and bool(column.first.node.path) and column.first.has_params()


def _role(column: Column) -> str:
    operator = column.first.op
    if column.members is not None:
        return "body"
    if column.operator:
        return "act"
    return ROLES.get(operator, operator)


def _clean(word: str) -> str:
    """A dotted name whose parts netc takes."""
    parts = [re.sub(r"[^\w$-]", "_", part) or "_" for part in word.split(".")]
    first = re.sub(r"-", "_", parts[0])
    first = f"m{first}" if first[:1].isdigit() else first
    first = first if objection(first.replace("$i", "0"), "statement") is None else f"{first}_"
    rest = [p if part_objection(p.replace("$i", "0")) is None else f"{p}_" for p in parts[1:]]
    return ".".join([first, *rest])


def _free_title(title: str, taken: Sequence[str]) -> str:
    def clashes(name: str) -> bool:
        return any(t == name or t.startswith(f"{name}.") or name.startswith(f"{t}.") for t in taken)

    if not clashes(title):
        return title
    below = any(title.startswith(f"{t}.") for t in taken)
    stem = title.replace(".", "_") if below or re.search(r"\.\d+$", title) else title
    name, count = stem, 1
    while clashes(name):
        count += 1
        name = f"{stem}_{count}" if stem[-1].isdigit() else f"{stem}{count}"
    return name


def is_upsampling(op: str) -> bool:
    return OPERATORS[op].family is Family.UPSAMPLE
