"""Checking specs and reporting on them; loads no option parser, so that `netc check FILE` starts quickly."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from netc.cli.spec import compile_named, compile_variants
from netc.cli.terminal import print_diagnostics, say
from netc.diagnostics.model import Diagnostic
from netc.diagnostics.suggest import listed
from netc.dims import Dim, Domain, at_least, bind, dim_text, symbols
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.passes.bounds import bounds

MOST_NAMED = 8
"""Variants that a finding names which not all of them have."""


class Checked(msgspec.Struct, frozen=True, eq=False):
    """What came of one network: the name that chooses it, what to say of one that is right, and what was found."""

    name: str
    praise: str | None
    found: list[Diagnostic]


def check_specs(
    specs: Sequence[str], args: dict[str, str], bind: dict[str, int], form: str, every: bool = False
) -> int:
    """Check every spec, print what was found on standard output, and return the exit code: 1 where there are errors.

    every: all variants of a file that names none.
    """
    found: list[Diagnostic] = []
    failed = False
    for spec in specs:
        networks = compile_variants(spec, args, bind) if every else [(spec, *compile_named(spec, args, bind))]
        checked = [Checked(name, _praise(network), some) for name, network, some in networks]
        failed |= any(one.praise is None for one in checked)
        merged = _merged(checked)
        found += merged
        if form == "full":
            print_diagnostics(merged, form, sys.stdout)
            for one in checked:
                if one.praise is not None:
                    say(f"{one.name}: {one.praise}")
    if form != "full":
        print_diagnostics(found, form, sys.stdout)
    return int(failed)


def _merged(checked: list[Checked]) -> list[Diagnostic]:
    """Every finding once; one that not all variants have says which."""
    merged: dict[object, tuple[Diagnostic, list[str]]] = {}
    for one in checked:
        for diagnostic in one.found:
            place = diagnostic.span and (diagnostic.span.source.path, diagnostic.span.start, diagnostic.span.end)
            merged.setdefault((diagnostic.code, diagnostic.message, place), (diagnostic, []))[1].append(one.name)
    return [
        diagnostic
        if len(names) == len(checked)
        else replace(diagnostic, notes=(*diagnostic.notes, f"in {listed(names, MOST_NAMED)}"))
        for diagnostic, names in merged.values()
    ]


def _praise(network: Network | None) -> str | None:
    return None if network is None else f"{network.name} is valid{_from(network)}"


def _from(network: Network) -> str:
    """From which sizes on, where it is not all; for training too, where that needs more than evaluation."""
    whole = alone = _listed(network.domain)
    if whole and any(output.train_only for output in network.block.outputs):
        alone = _listed(bounds(network, flatten(network), training=False))
    evaluated = f" from {alone} on" if alone else ""
    trained = "" if alone == whole else f" from {whole} on"
    sizes = [(size, least) for size, least in network.training if not isinstance(size, int)]
    trained += f" where {_where(sizes, network.domain)}" if sizes else ""
    return f"{evaluated}, and trains{trained}" if trained else evaluated


def _where(sizes: list[tuple[Dim, int]], domain: Domain) -> str:
    """`N·h·w ≥ 2`, or which symbol alone makes all of the sizes large enough where they are many or long."""
    (size, least), *others = sizes
    if not others and len(size.terms) == 1 and not size.constant and "⌊" not in dim_text(size):
        return f"{dim_text(size)} ≥ {least}"
    shared = frozenset.intersection(*(symbols(size) for size, _ in sizes))
    for name in sorted(shared):
        if all(at_least(bind(size, {name: 2}), least, domain).holds for size, least in sizes):
            return f"{name} ≥ 2 or the other sizes are larger"
    return "the sizes are larger"


def _listed(domain: Domain) -> str:
    return ", ".join(f"{name}={least}" for name, least in sorted(domain.bounds.items()) if least > 1)
