"""From what a command line names to a network."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from netc.api import split_variant
from netc.budget import Budget, OverBudget, budgeted
from netc.cli.terminal import print_diagnostics
from netc.diagnostics.model import Diagnostic, Source, require
from netc.files import read_standard_input
from netc.ir.model import Network
from netc.passes import compile_spec
from netc.syntax.parse import is_spec, parse_spec
from netc.syntax.read import MAX_BYTES, decode, read_source


def compile_named(
    spec: str, args: dict[str, str], bind: dict[str, int], dtype: str | None = None
) -> tuple[Network | None, list[Diagnostic]]:
    """Compile what SPEC names; `-` is standard input, `-:VARIANT` a variant of it."""
    path, variant = split_variant(spec)
    source = _standard_input() if path == "-" else path
    if isinstance(source, Diagnostic):
        return None, [source]
    return _compile(source, args, variant, bind, dtype)


def names_spec(spec: str) -> bool:
    """Does SPEC name what says `netc:` at its margin, or what cannot be read, so that it is reported?"""
    path, _ = split_variant(spec)
    source = None if path == "-" else read_source(path, protect=False)
    return not isinstance(source, Source) or is_spec(source)


def compile_source(
    source: Source, args: dict[str, str], variant: str | None, bind: dict[str, int]
) -> tuple[Network | None, list[Diagnostic]]:
    """Compile a text that may differ from the file it is named after."""
    return _compile(source, args, variant, bind, None)


def compile_variants(
    spec: str, args: dict[str, str], bind: dict[str, int], text: Source | None = None
) -> Iterator[tuple[str, Network | None, list[Diagnostic]]]:
    """Compile every variant of what SPEC names, each by the name that would choose it; the one that SPEC chooses.

    text: what to compile in place of the file. All of them have one budget; the first that exceeds it is the last.
    """
    path, chosen = split_variant(spec)
    source = text or (_standard_input() if path == "-" else read_source(path))
    if isinstance(source, Diagnostic):
        yield spec, None, [source]
        return
    budget = Budget()
    for variant in _variants(source, budget) or [None] if chosen is None else [chosen]:
        name = spec if variant == chosen else f"{spec}:{variant}"
        with budgeted(budget), _uncollected(keep=variant == chosen):
            network, diagnostics = compile_spec(source, args=args, variant=variant, bind=bind)
        yield name, network, diagnostics
        if budget.left < 0:
            break


def _variants(source: Source, budget: Budget) -> list[str | None]:
    """The names of a file's variants; none where it cannot be read, which is reported when it is compiled."""
    try:
        with budgeted(budget):
            parsed, _ = parse_spec(source)
    except OverBudget:
        return []
    return [] if parsed is None else [variant.name for variant in parsed.variants]


def _standard_input() -> Source | Diagnostic:
    return decode("<stdin>", read_standard_input(MAX_BYTES))


def _compile(
    source: str | Source, args: dict[str, str], variant: str | None, bind: dict[str, int], dtype: str | None
) -> tuple[Network | None, list[Diagnostic]]:
    with _uncollected():
        return compile_spec(source, args=args, variant=variant, bind=bind, dtype=dtype)


@contextmanager
def _uncollected(keep: bool = True) -> Iterator[None]:
    """Compile without the cyclic collector, which would walk a growing tree of live objects again and again.

    keep: what is made stays to the end of the process, and is never walked; else it is collected when the next is made.
    """
    if not keep:
        gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if keep:
            gc.freeze()
        gc.enable()


def compile_text(name: str, text: str) -> Network:
    """The network of a spec that was written here, its warnings printed. Raises NetcError."""
    return _accepted(*_compile(Source(name, text), {}, None, {}, None))


def compile_or_fail(spec: str, args: dict[str, str], bind: dict[str, int], dtype: str | None = None) -> Network:
    """The network SPEC names, its warnings printed. Raises NetcError."""
    return _accepted(*compile_named(spec, args, bind, dtype))


def _accepted(network: Network | None, diagnostics: list[Diagnostic]) -> Network:
    network = require(network, diagnostics)
    print_diagnostics(diagnostics)
    return network
