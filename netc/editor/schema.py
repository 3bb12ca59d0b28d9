"""The language as a JSON Schema, made from the operator classes: for editors that know YAML, and tools that write it.

It describes the long form in full, every operator with its attributes; a line is a text that begins with a word. Where
a number stands, an expression may stand too. Names, wiring and sizes are for `netc check`.
"""

from __future__ import annotations

from typing import Any

from netc.diagnostics.codes import LINTS
from netc.ops.base import OPERATORS, Attr, Op
from netc.ops.fill import INITIALISERS
from netc.ops.reference import attributes, headline
from netc.syntax.definitions import MAX_RANK
from netc.syntax.parse import EDITION, LEVELS
from netc.syntax.training import NUMBERS, PRECISIONS, WORDS
from netc.types import DTYPES

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_WORD = r"^[A-Za-z_]\w*$"
_NAME = r"^[A-Za-z_][\w.$()+*/%, -]*$"
_LINE = r"^\s*(@\S|[A-Za-z_]\w*(\s|$))"
_TEXT: Schema = {"type": "string"}
_EXPRESSION: Schema = {"type": ["string", "number", "boolean", "null", "array"]}
_MARKS = (
    "An operator or a block, its positional arguments, `name=value`, `@tensor` for what it reads, `x3` for copies: "
    "`conv2d 64 3 padding=1 @stem x2`. `@tensor` alone stands for that tensor, `none` for no tensor."
)

_TYPES: dict[str, tuple[str, ...]] = {
    "int": ("integer",),
    "float": ("number",),
    "Scalar": ("number",),
    "Number": ("number",),
    "bool": ("boolean",),
    "Size": ("integer",),
    "PerAxis": ("integer", "array"),
    "PerAxisOrKept": ("integer", "array"),
    "Padding": ("integer", "array"),
    "Ints": ("integer", "array"),
    "Sizes": ("integer", "array"),
    "Floats": ("number", "array"),
}
"""What an attribute of a kind may be besides a text, which holds an expression, a word or `none`."""


def json_schema() -> Schema:
    """The schema of a spec, as plain data."""
    body = {"anyOf": [_ref("statement"), _ref("body")]}
    shared = {
        "args": _said(
            "The signature, `width stride=1 act=relu`, or each name with its default.",
            _either(_TEXT, _map(_EXPRESSION)),
        ),
        "let": _said("Values derived from others, by name.", _map(_EXPRESSION)),
        "net": _said("What is computed: named statements, a chain, or one line.", body),
        "outputs": _said("Name → tensor. Without it, the last statement is the output.", _map(_ref("output"), _NAME)),
        "shared": _said("Modules with shared weights.", _map(_ref("statement"))),
        "checks": _said("Expressions that must hold.", {"type": "array", "items": _ref("check")}),
        "class": _said("The name of the PyTorch class.", {"type": "string", "pattern": r"^[A-Z]\w*$"}),
    }
    block = {**shared, "inputs": _said("The names of its inputs.", {"type": "array", "items": _TEXT})}
    return {
        "$schema": DIALECT,
        "title": "netc",
        "description": "A network in the netc language.",
        **_object({**_file_keys(), **shared}, required=("netc", "inputs", "net")),
        "$defs": {
            "block": _object(block, required=("net",)),
            "statement": _statement(),
            "line": _said(_MARKS, {"type": "string", "pattern": _LINE}),
            "body": _map(_ref("statement"), _NAME),
            "do": _do(body),
            "long": _long(),
            "output": _output(),
            "check": _either(_EXPRESSION, _object({"that": _EXPRESSION, "message": _TEXT}, required=("that",))),
            **{f"op-{name}": _arguments(cls) for name, cls in OPERATORS.items()},
        },
    }


def _file_keys() -> Schema:
    sizes = {"type": "array", "maxItems": MAX_RANK, "items": {"type": ["integer", "string"]}}
    typed = _object({"shape": sizes, "dtype": {"enum": [*DTYPES]}}, required=("shape",))
    operators = {name: _ref(f"op-{name}") for name in OPERATORS}
    return {
        "netc": _said("The edition of the language.", {"enum": [int(EDITION), EDITION]}),
        "name": _said("A name in snake_case.", {"type": "string", "pattern": _WORD}),
        "doc": _said("What the network is, in words.", _TEXT),
        "inputs": _said("Name → shape, as in `image: [N, 3, 32*h, 32*w]`.", _map(_either(sizes, typed))),
        "blocks": _said("Reusable pieces: each becomes a class.", _map(_ref("block"))),
        "import": _said("Name → file, FILE:VARIANT, or `netc:NAME` of the library.", _map(_TEXT)),
        "variants": _said("Named sets of arguments; the first is the default.", _map(_map(_EXPRESSION))),
        "defaults": _said(
            "Operator → attributes that it takes throughout the file.",
            {"type": "object", "properties": operators, "additionalProperties": False},
        ),
        "init": _said(
            f"How weights start: operator, `operator.parameter` or a glob → {', '.join(INITIALISERS)}.",
            {"type": "object", "additionalProperties": {"type": "string", "pattern": _LINE}},
        ),
        "freeze": _said("Modules that do not train.", _either(_TEXT, {"type": "array", "items": _TEXT})),
        "train": _said("How it is trained: what `netc train-script` writes.", _train()),
        "lint": _said(
            "Finding → level.",
            {
                "type": "object",
                "properties": {code: {"enum": [*LEVELS]} for code in LINTS},
                "additionalProperties": False,
            },
        ),
    }


def _train() -> Schema:
    words = {
        key: _said(f"One of {', '.join(known)}, with arguments.", {"type": "string"}) for key, known in WORDS.items()
    }
    numbers = {key: _said(f"{kind.wanted[0].upper()}{kind.wanted[1:]}.", _EXPRESSION) for key, kind in NUMBERS.items()}
    rest = {
        "data": _said("`module:function` that returns the data sets for training and validation.", _TEXT),
        "folder": _said("A folder with `train` and `valid`, and in them a folder of pictures per class.", _TEXT),
        "precision": _said("What the forward pass computes in.", {"enum": [*PRECISIONS]}),
        "groups": _said("Path of a module → lr and weight_decay there.", _map(_map(_EXPRESSION))),
    }
    return _object({**words, **numbers, **rest}, required=("optimizer", "epochs"))


def _statement() -> Schema:
    chain = {"type": "array", "minItems": 1, "items": _ref("statement"), "description": "A chain: one after another."}
    return _either(_ref("line"), chain, _ref("do"), _ref("long"))


def _do(body: Schema) -> Schema:
    loop = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": _EXPRESSION}
    return _object(
        {
            "do": _said("What to do.", body),
            "if": _said("A condition over arguments and sizes.", _EXPRESSION),
            "else": _said('What to do otherwise; `"@in"` passes a tensor on, `none` leaves it out.', body),
            "for": _said("Loop variables and what they run over: `{i: 1..4}`.", loop),
        },
        required=("do",),
    )


def _long() -> Schema:
    """The long form: the attributes are those of the operator, where `op` is one."""
    reads = {"type": ["string", "integer"]}
    args = _either({"type": "object"}, {"type": "array", "items": _EXPRESSION})
    keys = {
        "op": _said("An operator, block, import, shared module, or an argument that holds one.", _TEXT),
        "args": args,
        "inputs": _said("The tensors it reads.", _either(reads, {"type": "array", "items": reads})),
        "repeat": _said("How many copies.", _EXPRESSION),
    }
    rules = [
        {
            "if": {"properties": {"op": {"const": name}}, "required": ["op"]},
            "then": {"properties": {"args": _either(_ref(f"op-{name}"), {"type": "array"})}},
        }
        for name in OPERATORS
    ]
    return {**_object(keys, required=("op",)), "allOf": rules}


def _output() -> Schema:
    tensor = {"type": ["string", "integer"]}
    keys = {"from": tensor, "when": {"enum": ["train"]}, "if": _EXPRESSION, "for": {"type": "object"}}
    return _either(tensor, _object(keys, required=("from",)))


def _arguments(cls: type[Op]) -> Schema:
    """The attributes of an operator, in positional order, and the tensors it may be given by name."""
    told = {row.name: row for row in attributes(cls)}
    properties = {
        name: _attribute(declared, told[name].kind, told[name].doc) for name, declared in cls.attributes.items()
    }
    references = {name: _said("A tensor, written with @.", _TEXT) for name in cls.references if name not in properties}
    return {"description": headline(cls), **_object({**properties, **references})}


def _attribute(declared: Attr, kind: str, doc: str) -> Schema:
    types = _TYPES.get(declared.kind.removesuffix(" | None"), ())
    schema: Schema = {
        "description": f"{doc} ({kind})",
        "type": [*types, "string", *(["null"] if "None" in declared.kind else [])],
    }
    if declared.words:
        schema = {
            "description": schema["description"],
            "anyOf": [{"enum": [*declared.words]}, {"type": schema["type"]}],
        }
    bounds = {"minimum": declared.minimum, "maximum": declared.maximum}
    return schema | {name: bound for name, bound in bounds.items() if bound is not None}


def _object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    needed = {"required": [*required]} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def _map(values: Schema, pattern: str = "") -> Schema:
    named = {"propertyNames": {"pattern": pattern}} if pattern else {}
    return {"type": "object", **named, "additionalProperties": values}


def _either(*schemas: Schema) -> Schema:
    return {"anyOf": [*schemas]}


def _said(words: str, schema: Schema) -> Schema:
    return {"description": words, **schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
