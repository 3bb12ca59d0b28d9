"""Names the generated code may use: none that Python, torch, the code around or the class itself needs."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable

FILE = frozenset(
    (
        "nn",
        "torch",
        "math",
        "Tensor",
        "NamedTuple",
        "OrderedDict",
        "Callable",
        "partial",
        "make_divisible",
        "fnmatchcase",
        "constant_device",
    )
)
"""What a file may import or define besides its classes."""
PYTHON = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | frozenset(keyword.softkwlist)
RESERVED = FILE | PYTHON | frozenset(("self", "annotations", "l", "I", "O"))
COUNTERS = (*"ijkabcdefghmnpqrst", *(f"i{n}" for n in range(100)))
"""Variables of loops without a name, in order of preference."""
MODULE = frozenset(
    [
        "T_destination",
        "add_module",
        "append",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "clear",
        "compile",
        "copy",
        "count",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extend",
        "extra_repr",
        "float",
        "forward",
        "fromkeys",
        "get",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "index",
        "insert",
        "ipu",
        "items",
        "keys",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "pop",
        "popitem",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "setdefault",
        "share_memory",
        "sort",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "update",
        "values",
        "xpu",
        "zero_grad",
    ]
)
"""Attributes of nn.Module and its containers; those that begin with `_` are never taken either."""


def loop_of(name: str) -> str:
    """The loop that a name of a class belongs to, one of its variables or of what it takes from turn to turn."""
    return name[1:].partition(".")[0]


def word(name: str) -> str:
    """A name as an identifier."""
    found = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    return f"_{found}" if not found or found[0].isdigit() else found


def safe(name: str, taken: Iterable[str] = ()) -> str:
    """The name, or with underscores where it has another meaning."""
    found, taken = word(name), frozenset(taken)
    while found in RESERVED or found in taken:
        found += "_"
    return found


def attribute(name: str, taken: Iterable[str] = ()) -> str:
    """A name for an attribute that holds no tensors: none that a module has already."""
    found, taken = word(name), frozenset(taken)
    while found in MODULE or found in taken or found.startswith("_"):
        found = f"{found.lstrip('_') or 'value'}_"
    return found


def pascal(name: str) -> str:
    """`conv_bn` as `ConvBn`."""
    joined = "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)
    return joined if joined.isidentifier() else f"Block{joined}"


def statement_name(path: str) -> str:
    """What to call the tensor a statement makes: its last name that is no number."""
    words = [part for part in path.split(".") if not part.isdigit()]
    return words[-1] if words else "out"
