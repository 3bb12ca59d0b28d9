"""Remedies that were tried: a change of the text is offered when the whole network, checked again, is better for it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from netc.budget import OverBudget
from netc.diagnostics.model import Diagnostic, Fix
from netc.passes.elaborate.collector import Clue, Outcome
from netc.passes.resize import Resizer
from netc.passes.trials import Enough, Retry, Trials

MOST_FINDINGS = 6
"""Findings that remedies are tried for."""

MOST_FIXES = 4


def advised(first: Outcome, retry: Retry) -> list[Diagnostic]:
    """The findings with the remedies that proved right, before whatever else they advise."""
    trials = Trials(first, retry)
    left = MOST_FINDINGS
    told = []
    for diagnostic in first.found:
        clue = first.clues.get(diagnostic)
        if clue is not None and left:
            left -= 1
            fixes = (*_proved(trials, diagnostic, clue), *diagnostic.fixes)
            diagnostic = msgspec.structs.replace(diagnostic, fixes=fixes)
        told.append(diagnostic)
    return told


def _proved(trials: Trials, diagnostic: Diagnostic, clue: Clue) -> list[Fix]:
    proved: list[Fix] = []
    partly: list[Fix] = []
    try:
        for fix in _candidates(trials, diagnostic, clue):
            if any(fix.title == other.title for other in (*proved, *partly)):
                continue
            if trials.mends(diagnostic, fix.edits):
                proved.append(fix)
            elif diagnostic.severity == "error" and not partly and trials.uncovers(diagnostic, fix.edits):
                partly.append(fix)
            if len(proved) == MOST_FIXES:
                break
    except (Enough, OverBudget):
        pass
    return proved or partly


def _candidates(trials: Trials, diagnostic: Diagnostic, clue: Clue) -> Iterator[Fix]:
    """Other sizes of the inputs, then changes of the network."""
    if clue.pairs:
        yield from Resizer(trials, diagnostic, clue).offers()
    yield from clue.offers
