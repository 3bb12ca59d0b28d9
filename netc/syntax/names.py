"""Which names a spec may give, and why not the others."""

from __future__ import annotations

import keyword
import re
from typing import Literal

from netc.expr.parser import CONSTANTS, FUNCTIONS, KEYWORDS

Role = Literal[
    "statement", "argument", "let", "loop variable", "input", "output", "block", "import", "shared module", "variant"
]

MAX_NAME = 100

_MODULE_ATTRIBUTES = """
T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl
_forward_hooks _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks
_forward_pre_hooks_with_kwargs _get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook
_load_from_state_dict _load_state_dict_post_hooks _load_state_dict_pre_hooks
_maybe_warn_non_full_backward_hook _modules _named_members _non_persistent_buffers_set _parameters
_register_load_state_dict_pre_hook _register_state_dict_hook _replicate_for_data_parallel _save_to_state_dict
_slow_forward _state_dict_hooks _state_dict_pre_hooks _version _wrapped_call_impl add_module apply bfloat16
buffers call_super_init children compile cpu cuda double dump_patches eval extra_repr float forward get_buffer
get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers named_children
named_modules named_parameters parameters register_backward_hook register_buffer register_forward_hook
register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule
share_memory state_dict to to_empty train training type xpu zero_grad
"""

MODULE_ATTRIBUTES = frozenset(_MODULE_ATTRIBUTES.split())
"""What every torch.nn.Module already has under that name (PyTorch 2.13)."""

CONTAINER_METHODS = frozenset(["append", "clear", "extend", "insert", "items", "keys", "pop", "update", "values"])
"""What `nn.Sequential`, `nn.ModuleList` and `nn.ModuleDict` have besides."""

CODE_NAMES = frozenset({"self", "super", "torch", "nn", "math", "Tensor"})
"""What the generated code calls by these names."""

AXIS_LETTERS = frozenset("NCLHWD")

STATEMENT_KEYS = frozenset({"do", "op", "if", "else", "for"})

DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))})
"""Names that Windows keeps for devices, so no file can bear them."""

_MODULE_ROLES = frozenset({"statement", "shared module"})
_TENSOR_ROLES = frozenset({"statement", "input", "output", "shared module"})
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
_HYPHENED = re.compile(r"[A-Za-z_]\w*(-\w+)+", re.ASCII)
_X = re.compile(r"x\d*", re.ASCII)


_RESERVED = {
    "in": "`@in` is the first input of the block or file around a statement",
    "x": "`x` is what a statement itself reads, as in `conv2d x.C 3`",
    "x2": "`x` with digits repeats a line, as in `relu x2`",
}

_EXAMPLES: dict[Role, str] = {
    "statement": "conv1",
    "argument": "width",
    "let": "hidden",
    "loop variable": "i",
    "input": "image",
    "output": "logits",
    "block": "unit",
    "import": "backbone",
    "shared module": "encoder",
    "variant": "large",
}


def another(role: Role) -> str:
    """What to do about a name that cannot be used in this role."""
    return f"choose another name, such as `{_EXAMPLES[role]}`"


def objection(name: str, role: Role) -> str | None:
    """Why `name` cannot be used in this role, or None."""
    if len(name) > MAX_NAME:
        return f"it has more than {MAX_NAME} characters"
    if _WORD.fullmatch(name) is None:
        return "a name consists of letters a-z and A-Z, digits and `_`, and does not start with a digit"
    if name == "in" or (name[0] == "x" and _X.fullmatch(name) and role != "variant"):
        return _RESERVED["in" if name == "in" else "x" if name == "x" else "x2"]
    if name in CONSTANTS or name in KEYWORDS:
        return "it is a keyword of the expression language"
    if keyword.iskeyword(name):
        return "it is a keyword of Python"
    if name.startswith("__"):
        return "names with two leading underscores are reserved by Python"
    return _role_objection(name, role)


def _role_objection(name: str, role: Role) -> str | None:
    if role in _MODULE_ROLES and name in MODULE_ATTRIBUTES:
        return "every nn.Module already has an attribute of this name"
    if role in _TENSOR_ROLES and (name in AXIS_LETTERS or name in ("shape", "rank")):
        return "the axis letters, `shape` and `rank` are how the sizes of a tensor are read"
    if role == "statement" and name in STATEMENT_KEYS:
        return "it is a key of the long form of a statement"
    if role == "output" and name.startswith("_"):
        return "outputs become fields of a NamedTuple, which cannot start with an underscore"
    if role in ("argument", "let", "loop variable") and name in FUNCTIONS:
        return "it is a function of the expression language"
    if role != "variant" and name in CODE_NAMES:
        return "the generated code needs this name for itself"
    return None


def part_objection(part: str) -> str | None:
    """Why `part` cannot follow a dot in a statement's name: digits may, as in `features.0`, and `block1-0`."""
    if part.isascii() and part.isdigit():
        return None if len(part) < 10 and str(int(part)) == part else "a number cannot have leading zeros here"
    if len(part) <= MAX_NAME and _HYPHENED.fullmatch(part):
        return None
    return objection(part, "statement") or container_objection(part)


def container_objection(name: str) -> str | None:
    """Why `name` cannot name a member of a statement; a block may have such a member."""
    return "`nn.Sequential` and `nn.ModuleDict` have a method of this name" if name in CONTAINER_METHODS else None


def file_objection(name: str) -> str | None:
    """Why `name` cannot name a network."""
    if _SNAKE.fullmatch(name) is None or len(name) > MAX_NAME:
        return "names of networks are snake_case: lower-case letters, digits and single `_`, starting with a letter"
    if name in DEVICES:
        return "Windows reserves this name for a device"
    return "it is a keyword of Python" if keyword.iskeyword(name) else None


def name_from_stem(stem: str) -> str:
    """The name of a network whose file does not give one: the file's stem made snake_case."""
    words = "_".join(re.findall(r"[a-z0-9]+", stem.lower()))
    name = words if words[:1].isalpha() else f"net_{words}".rstrip("_")
    name = name[:MAX_NAME].rstrip("_")
    return f"{name}_net" if file_objection(name) else name
