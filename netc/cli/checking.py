"""Checking specs and reporting on them; loads no option parser, so that `netc check FILE` starts quickly."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from netc.cli.report import print_diagnostics, say
from netc.cli.spec import compile_named
from netc.diagnostics.model import Diagnostic
from netc.dims import Domain
from netc.ir.flat import flatten
from netc.ir.model import Network
from netc.passes.bounds import bounds


def check_specs(specs: Sequence[str], args: dict[str, str], bind: dict[str, int], form: str) -> int:
    """Check every spec, print what was found on standard output, and return the exit code: 1 where there are errors."""
    found: list[Diagnostic] = []
    failed = 0
    for spec in specs:
        network, diagnostics = compile_named(spec, args, bind)
        found += diagnostics
        failed += network is None
        if form == "full":
            print_diagnostics(diagnostics, form, sys.stdout)
            if network is not None:
                say(f"{spec}: {network.name} is right{_from(network)}")
    if form != "full":
        print_diagnostics(found, form, sys.stdout)
    return 1 if failed else 0


def _from(network: Network) -> str:
    """From which sizes on, where it is not all; for training too, where that needs more than evaluation."""
    whole = alone = _listed(network.domain)
    if whole and any(output.train_only for output in network.block.outputs):
        alone = _listed(bounds(network, flatten(network), training=False))
    evaluated = f" from {alone} on" if alone else ""
    return evaluated if alone == whole else f"{evaluated}, and trains from {whole} on"


def _listed(domain: Domain) -> str:
    return ", ".join(f"{name}={least}" for name, least in sorted(domain.bounds.items()) if least > 1)
