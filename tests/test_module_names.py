"""Whatever a spec's things are called, netc refuses the name or writes a module that computes what the spec says."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from torch import nn

from netc.syntax.names import Role, file_objection, objection
from tests.module_judge import Wrong, judge

IMPORTED = (
    *("torch", "nn", "math", "Tensor", "F", "functional", "init", "partial", "cat", "relu", "tanh", "sigmoid", "silu"),
    *("NamedTuple", "Callable", "Sequence", "Iterable", "Optional", "Literal", "Any", "annotations", "typing", "cast"),
)
OWN = ("Unit", "unit", "Names", "names", "G0", "g0", "Plain0", "NamesOutput", "Output", "Sequential", "ModuleList")
"""Classes that these specs make, and what such classes may be called."""

USUAL = (
    *("self", "cls", "x", "y", "out", "result", "results", "layers", "layer", "block", "features", "feature", "image"),
    *(
        "i",
        "j",
        "k",
        "n",
        "index",
        "name",
        "module",
        "modules_",
        "in_channels",
        "channels",
        "height",
        "width",
        "length",
    ),
    *(
        "args",
        "kwargs",
        "stages",
        "heads",
        "head",
        "use_out",
        "has_out",
        "size",
        "sizes",
        "shape",
        "dim",
        "device",
        "N",
        "C",
    ),
)
"""What generated code may call its own things."""


def _is_exception(name: str) -> bool:
    """All but one are alike to generated code."""
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException) and found is not ValueError


NAMES = tuple(
    dict.fromkeys(
        name
        for name in (*dir(nn.Module()), *dir(builtins), *keyword.kwlist, *keyword.softkwlist, *IMPORTED, *OWN, *USUAL)
        if not name.startswith("__") and not _is_exception(name)
    )
)
BATCH = 12

HEAD = "netc: 1\nname: names\n"
INPUT = "inputs: {image: [N, 4, h, v]}\n"
UNIT = "  unit: {args: c, net: {conv: conv2d c 1 @in, act: relu @conv, sum: concat @conv @act}}\n"

Maker = Callable[[Sequence[str]], str]


def blocks(body: str) -> Maker:
    """A block for each name, called twice; `NAME` stands for the name in the body."""

    def make(names: Sequence[str]) -> str:
        made = "".join(f"  g{i}: {body.replace('NAME', name)}\n" for i, name in enumerate(names))
        calls = "".join(f"  a{i}: g{i} 2 @image\n  b{i}: g{i} 3 @image\n" for i in range(len(names)))
        joined = " ".join(f"@a{i} @b{i}" for i in range(len(names)))
        return f"{HEAD}{INPUT}blocks:\n{UNIT}{made}net:\n{calls}  all: concat {joined}\n"

    return make


def statements(line: str, last: str = "@NAME") -> Maker:
    """Statements of the network."""

    def make(names: Sequence[str]) -> str:
        made = "".join(f"  {line.replace('NAME', name)}\n" for name in names)
        joined = " ".join(last.replace("NAME", name) for name in names)
        return f"{HEAD}{INPUT}blocks:\n{UNIT}net:\n{made}  all_: concat {joined} @image\n"

    return make


def arguments_of_the_file(names: Sequence[str]) -> str:
    args = ", ".join(f"{name}: {2 + i % 3}" for i, name in enumerate(names))
    made = "".join(f"  s{i}: [unit {name} @image, mul {name}]\n" for i, name in enumerate(names))
    return f"{HEAD}args: {{{args}}}\n{INPUT}blocks:\n{UNIT}net:\n{made}  all: concat @s$(0..{len(names) - 1}) @image\n"


def lets_of_the_file(names: Sequence[str]) -> str:
    lets = ", ".join(f"{name}: 2*base+{i % 3}" for i, name in enumerate(names))
    made = "".join(f"  s{i}: unit {name} @image\n" for i, name in enumerate(names))
    joined = f"all: concat @s$(0..{len(names) - 1}) @image"
    return f"{HEAD}args: {{base: 2}}\nlet: {{{lets}}}\n{INPUT}blocks:\n{UNIT}net:\n{made}  {joined}\n"


def inputs_of_the_file(names: Sequence[str]) -> str:
    inputs = ", ".join(f"{name}: [N, 4, h, v]" for name in names)
    made = "".join(f"  s{i}: unit 2 @{name}\n" for i, name in enumerate(names))
    joined = " ".join(f"@s{i} @{name}" for i, name in enumerate(names))
    return f"{HEAD}inputs: {{{inputs}}}\nblocks:\n{UNIT}net:\n{made}  all: concat {joined}\n"


def outputs_of_the_file(names: Sequence[str]) -> str:
    outputs = ", ".join(f"{name}: s{i}" for i, name in enumerate(names))
    made = "".join(f"  s{i}: unit 2 @image\n" for i in range(len(names)))
    return f"{HEAD}{INPUT}blocks:\n{UNIT}net:\n{made}outputs: {{{outputs}}}\n"


def called_blocks(names: Sequence[str]) -> str:
    made = "".join(f"  {name}: {{args: c, net: {{conv: conv2d c 1, unit: unit c, act: relu}}}}\n" for name in names)
    calls = "".join(f"  a{i}: {name} 2 @image\n  b{i}: {name} 3 @image\n" for i, name in enumerate(names))
    joined = " ".join(f"@a{i} @b{i}" for i in range(len(names)))
    return f"{HEAD}{INPUT}blocks:\n{UNIT}{made}net:\n{calls}  all: concat {joined}\n"


def shared(names: Sequence[str]) -> str:
    made = ", ".join(f"{name}: conv2d 4 1" for name in names)
    calls = "".join(f"  a{i}: {name} @image\n  b{i}: [relu @a{i}, {name}]\n" for i, name in enumerate(names))
    joined = " ".join(f"@a{i} @b{i}" for i in range(len(names)))
    return f"{HEAD}{INPUT}shared: {{{made}}}\nnet:\n{calls}  all: concat {joined}\n"


FORMS: dict[str, tuple[Role, Maker]] = {
    "argument: a number": ("argument", blocks("{args: NAME, net: {p: mul NAME @in, q: add @p @in, u: unit 2}}")),
    "argument: a size": ("argument", blocks("{args: NAME, net: {c: conv2d NAME 1, u: unit NAME, r: [relu, tanh]}}")),
    "argument: in a loop": (
        "argument",
        blocks("{args: NAME, net: {u$i: {for: {i: 1..3}, do: unit NAME*i}, l: {for: {i: 1..2}, do: conv2d NAME+i 1}}}"),
    ),
    "argument: a flag": (
        "argument",
        blocks("{args: 'c NAME=true', net: {a: {if: NAME and c>2, do: unit c}, b: conv2d c 1 bias=NAME, d: tanh}}"),
    ),
    "argument: an operator": (
        "argument",
        blocks("{args: 'c NAME=relu', net: {a: conv2d c 1, b: NAME, d: [conv2d c 1, NAME], u: unit c}}"),
    ),
    "let": ("let", blocks("{args: c, let: {NAME: c+1}, net: {a: conv2d NAME 1, b: mul NAME, u: unit 2*NAME}}")),
    "loop variable": (
        "loop variable",
        blocks("{args: c, net: {u$NAME: {for: {NAME: 1..3}, do: unit c*NAME}, r: relu, t: tanh}}"),
    ),
    "loop variable: of a chain": (
        "loop variable",
        blocks(
            "{args: c, net: {a: {for: {NAME: 1..3}, do: [unit c*NAME, relu]}, b: {for: {NAME: 1..2}, do: mul NAME}}}"
        ),
    ),
    "statement: a module": (
        "statement",
        blocks("{args: c, net: {NAME: conv2d c 1 @in, act_: relu @NAME, sum_: add @act_ @NAME, u_: unit c}}"),
    ),
    "statement: a tensor": (
        "statement",
        blocks("{args: c, net: {NAME: tanh @in, act_: relu @NAME, sum_: concat @act_ @NAME, u_: unit c}}"),
    ),
    "statement: a block": (
        "statement",
        blocks("{args: c, net: {NAME: unit c @in, act_: relu @NAME, sum_: concat @act_ @NAME, u_: unit c}}"),
    ),
    "statement: a chain": (
        "statement",
        blocks("{args: c, net: {NAME: [unit c, relu], act_: tanh @NAME, sum_: concat @act_ @NAME.0}}"),
    ),
    "statement: a body": (
        "statement",
        blocks("{args: c, net: {NAME: {do: {NAME: unit c, act_: tanh}}, sum_: [relu, unit c]}}"),
    ),
    "statement: a loop": (
        "statement",
        blocks("{args: c, net: {NAME$i: {for: {i: 1..3}, do: unit c*i}, act_: tanh}}"),
    ),
    "statement: of the network": ("statement", statements("NAME: unit 3 @image")),
    "statement: a tensor of the network": ("statement", statements("NAME: relu @image")),
    "statement: a parameter": (
        "statement",
        statements("NAME: parameter (4 1 1)\n  m_NAME: mul @image @NAME", "@m_NAME"),
    ),
    "input: of a block": (
        "input",
        lambda names: blocks("{args: c, net: {p: pNAME c @in @in, u: unit c}}")(names).replace(
            UNIT,
            UNIT
            + "".join(
                f"  p{name}: {{args: c, inputs: [{name}, other_], net: {{a: conv2d c 1 @{name}, r: relu @{name}, "
                f"s: concat @a @r @other_}}}}\n"
                for name in names
            ),
        ),
    ),
    "output: of a block": (
        "output",
        lambda names: blocks("{args: c, net: {p: pNAME c @in, u: concat @p @p.NAME @p.other_}}")(names).replace(
            UNIT,
            UNIT
            + "".join(
                f"  p{name}: {{args: c, net: {{a_: unit c @in, r_: relu @in}}, outputs: {{{name}: a_, other_: r_}}}}\n"
                for name in names
            ),
        ),
    ),
    "argument: of the file": ("argument", arguments_of_the_file),
    "let: of the file": ("let", lets_of_the_file),
    "input: of the file": ("input", inputs_of_the_file),
    "output: of the file": ("output", outputs_of_the_file),
    "block": ("block", called_blocks),
    "shared": ("shared", shared),
}


def wrong_names(make: Maker, names: Sequence[str]) -> Iterator[str]:
    """Those that make a module wrong; a batch that is right or refused as one needs no look at each."""
    size = 3 if make is arguments_of_the_file else BATCH  # each is tried with other values there
    for first in range(0, len(names), size):
        batch = names[first : first + size]
        try:
            if judge(make(batch)) is not None:
                continue
        except Wrong:
            pass
        for name in batch:
            try:
                judge(make([name]))
            except Wrong as wrong:
                yield f"{name}: {wrong}"


@pytest.mark.parametrize("form", FORMS)
def test_a_name_is_refused_or_the_module_is_right(form: str) -> None:
    role, make = FORMS[form]
    allowed = [name for name in NAMES if objection(name, role) is None]
    assert judge(make(["usual", "ordinary"])) is not None, "the form itself is a right spec"
    assert not list(wrong_names(make, allowed))


def test_networks_may_be_called_anything() -> None:
    def make(names: Sequence[str]) -> str:
        return statements("s: unit 3 @image", "@s")(names).replace("name: names", f"name: {names[0]}")

    wrong = []
    for name in (name for name in NAMES if file_objection(name) is None):
        wrong += wrong_names(make, [name])
    assert not wrong


def test_imported_files_may_be_called_anything(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(
        "netc: 1\nname: part\nargs: {c: 2}\ninputs: {map: [N, q, h, v]}\nnet: {conv: conv2d c 1, act: relu}\n", "utf-8"
    )

    def make(names: Sequence[str]) -> str:
        imports = ", ".join(f"{name}: part.yaml" for name in names)
        made = "".join(f"  a{i}: {name} c=3 @image\n  b{i}: {name} @image\n" for i, name in enumerate(names))
        joined = " ".join(f"@a{i} @b{i}" for i in range(len(names)))
        text = f"{HEAD}import: {{{imports}}}\n{INPUT}net:\n{made}  all: concat {joined}\n"
        (tmp_path / "main.yaml").write_text(text, "utf-8")
        return text

    wrong = []
    allowed = [name for name in NAMES if objection(name, "import") is None]
    for first in range(0, len(allowed), BATCH):
        make(allowed[first : first + BATCH])
        try:
            assert judge(tmp_path / "main.yaml") is not None
        except Wrong as found:
            wrong.append(f"{allowed[first : first + BATCH]}: {found}")
    assert not wrong


@pytest.mark.parametrize("formula", ["make_divisible(in.C 4)", "floor(sqrt(in.C)) + 1"])
def test_functions_within_a_value_that_is_read_once(formula: str) -> None:
    unit = f"unit: {{let: {{wide: {formula}}}, net: {{a: conv2d wide 1}}}}"
    text = f"netc: 1\nname: net\ninputs: {{image: [N, 3, 8, 8]}}\nblocks: {{{unit}}}\n"
    assert judge(f"{text}net: {{a: unit, b: conv2d 6 1, c: unit}}\n") == 1
