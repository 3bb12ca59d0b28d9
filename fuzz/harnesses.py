"""All harnesses by name, and what their runs start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from fuzz import specs
from netc.ops.homes import HOMES
from netc.syntax.definitions import FILE_KEYS

ROOT = Path(__file__).parents[1]
KEPT = Path(__file__).parent / "corpus"

LINES = """
conv2d 64 7 stride=2 @in x3 | conv2d (2*width) (1 3) padding=same bias=false | add @a.0 @p$(1..3).x mode=floor
interpolate size=(2 2) mode=nearest-exact @x | basic width=$(i-1) act="group_norm 32" x(depth-1) | conv2d in.C,3
"""
EXPRESSIONS = """
1 + 2*h//3 | [i*2 for i in range(3) if i != 1] | list[1:][0] if flag else w | max(n, len(list)) ** 2 % 7 | 8*h
sum([a*b for a b in zip(list, list)]) | make_divisible(n*w, 8) | not flag and word == same or none_ == none | -(n - -1)
@stem.0 | @p$(2..6).scores | layer$(i-1).conv | a $(2*n) text | (1 2 3) | 1..n | h.C | enumerate(list) | 0x10 | 1e3
"""


class Harness(msgspec.Struct, frozen=True):
    """run: what may raise nothing. start: inputs that runs start from besides those that are kept. words: of its
    inputs. mutate: (input, most bytes, seed, libFuzzer's own) → another input."""

    name: str
    run: Callable[[bytes], None]
    start: Callable[[], list[bytes]]
    words: tuple[str, ...] = ()
    mutate: Callable[[bytes, int, int, Callable[[bytes, int], bytes]], bytes] | None = None

    def kept(self) -> Iterator[Path]:
        """Files with inputs that once found a fault."""
        return iter(sorted((KEPT / self.name).glob("*")))

    def seeds(self) -> list[bytes]:
        """What a run starts from."""
        return [*(path.read_bytes() for path in self.kept()), *self.start()]


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function of `fuzz` whose module loads when it is called: some need torch and onnx, and time."""

    def call(*given: Any) -> Any:
        return getattr(import_module(f"fuzz.{module}"), name)(*given)

    return call


def _pieces(text: str) -> list[bytes]:
    return [piece.strip().encode() for line in text.strip().splitlines() for piece in line.split("|")]


def _specs() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "examples").glob("*.yaml"))]


WORDS = (*specs.NASTY, *FILE_KEYS)
SIGNS = ("&a ", "*a", "<<: ", "!!str ", "|\n", ">-\n", "? ", "---\n")
ARCHIVES = ("PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "__metadata__", "data_offsets", "F32", "<f4", "weight_map")
MODELS, MUTATE = _late("models", "start"), _late("models", "mutate")

HARNESSES = {
    harness.name: harness
    for harness in (
        Harness("loader", specs.loader, _specs, (*WORDS, *SIGNS)),
        Harness("line", specs.line, lambda: _pieces(LINES), WORDS),
        Harness("expression", specs.expression, lambda: _pieces(EXPRESSIONS), (*specs.NASTY, *specs.VALUES)),
        Harness("compile", specs.compiled, _specs, (*WORDS, *HOMES)),
        Harness("rewrite", specs.rewritten, _specs, (*WORDS, *SIGNS)),
        Harness("weights", _late("weights", "weights"), _late("weights", "start"), ARCHIVES),
        Harness("onnx-import", _late("models", "onnx_import"), MODELS, mutate=MUTATE),
        Harness("onnx-optimize", _late("models", "onnx_optimize"), MODELS, mutate=MUTATE),
        Harness("networks", _late("networks", "networks"), lambda: [bytes([n]) for n in range(3)]),
    )
}
