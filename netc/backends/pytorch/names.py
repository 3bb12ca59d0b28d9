"""Names the generated code may use: none that Python, torch's imports or the code itself needs."""

from __future__ import annotations

import builtins
import keyword

OWN = frozenset(
    (
        "self",
        "nn",
        "torch",
        "math",
        "Tensor",
        "NamedTuple",
        "OrderedDict",
        "make_divisible",
        "annotations",
        "l",
        "I",
        "O",
    )
)
RESERVED = OWN | frozenset(dir(builtins)) | frozenset(keyword.kwlist) | frozenset(keyword.softkwlist)
TURNS = (*"ijkabcdefghmnpqrst", *(f"i{n}" for n in range(100)))
"""Variables of comprehensions, in order of preference."""


def safe(name: str, taken: frozenset[str] | set[str] = frozenset()) -> str:
    """The name, or with underscores where it has another meaning."""
    word = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    word = f"_{word}" if not word or word[0].isdigit() else word
    while word in RESERVED or word in taken:
        word += "_"
    return word


def pascal(name: str) -> str:
    """`conv_bn` as `ConvBn`."""
    joined = "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)
    return joined if joined.isidentifier() else f"Block{joined}"


def statement_name(path: str) -> str:
    """What to call the tensor a statement makes: its last name that is no number."""
    words = [part for part in path.split(".") if not part.isdigit()]
    return words[-1] if words else "out"
