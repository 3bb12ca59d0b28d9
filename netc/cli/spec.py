"""From what a command line names to a network."""

from __future__ import annotations

import gc
import sys

from netc.api import compile_spec, split_variant
from netc.cli.report import print_diagnostics
from netc.diagnostics.model import Diagnostic, NetcError, Source
from netc.ir.model import Network
from netc.syntax.read import MAX_BYTES, decode


def compile_named(
    spec: str, args: dict[str, str], bind: dict[str, int], dtype: str | None = None
) -> tuple[Network | None, list[Diagnostic]]:
    """Compile what SPEC names; `-` is standard input, `-:VARIANT` a variant of it."""
    path, variant = split_variant(spec)
    source = decode("<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1)) if path == "-" else path
    if isinstance(source, Diagnostic):
        return None, [source]
    return _compile(source, args, variant, bind, dtype)


def _compile(
    source: str | Source, args: dict[str, str], variant: str | None, bind: dict[str, int], dtype: str | None
) -> tuple[Network | None, list[Diagnostic]]:
    """Compile without the cyclic collector, which would walk a growing tree of live objects again and again."""
    gc.disable()
    try:
        return compile_spec(source, args=args, variant=variant, bind=bind, dtype=dtype)
    finally:
        gc.freeze()
        gc.enable()


def compile_or_fail(spec: str, args: dict[str, str], bind: dict[str, int], dtype: str | None = None) -> Network:
    """The network SPEC names, its warnings printed. Raises NetcError."""
    network, found = compile_named(spec, args, bind, dtype)
    if network is None:
        raise NetcError(tuple(found))
    print_diagnostics(found)
    return network
