"""Remedies tried: a change of the text is offered when the whole network, checked again with it, is better for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from netc.budget import share, spend
from netc.diagnostics.model import Diagnostic, Edit, Source
from netc.passes.elaborate.collector import Key, Outcome, key_of, moved

MAX_TRIALS = 48
"""Networks checked again for one report."""

MAX_STEPS = 1_500_000
"""Steps these may take, together."""


Retry = Callable[[Mapping[str, Source]], Outcome]
"""Checks the network once more with other texts in the place of some."""


class Enough(Exception):
    """No more trials."""


class Trials:
    """Tries changes of the network that `first` came of."""

    def __init__(self, first: Outcome, retry: Retry) -> None:
        self.first = first
        self._retry = retry
        self._left = MAX_TRIALS
        self._steps = MAX_STEPS
        self._known: dict[tuple[tuple[str, int, int, str], ...], Outcome] = {}

    def outcome(self, edits: Iterable[Edit]) -> Outcome:
        """What is found after these changes. Raises Enough."""
        edits = tuple(edits)
        key = tuple([(e.span.source.path, e.span.start, e.span.end, e.replacement) for e in edits])
        if key not in self._known:
            if not self._left:
                raise Enough
            self._left -= 1
            with share(self._steps) as part:
                try:
                    self._known[key] = self._retry(_edited(edits))
                finally:
                    spent = min(part.spent, part.limit)
                    self._steps -= spent
            spend(spent)
        return self._known[key]

    def mends(self, diagnostic: Diagnostic, edits: Sequence[Edit]) -> bool:
        """Whether the finding goes and, all in all, there are fewer: no other error comes in its place."""
        after = self.outcome(edits)
        if moved(diagnostic, edits) in keys(after.found):
            return False
        errors, before = errors_of(after.found), errors_of(self.first.found)
        if diagnostic.severity == "error":
            return len(errors) < len(before)
        return len(errors) <= len(before) and len(after.found) < len(self.first.found)

    def uncovers(self, diagnostic: Diagnostic, edits: Sequence[Edit]) -> bool:
        """Whether the finding goes and what comes up instead is of another kind and stands below it."""
        keys_before = {moved(one, edits) for one in self.first.found}
        new = [one for one in errors_of(self.outcome(edits).found) if key_of(one) not in keys_before]
        gone = moved(diagnostic, edits) not in keys(self.outcome(edits).found)
        rewritten = edits[0].span.start if diagnostic.code == "unknown-argument" and edits else None
        below = all(
            one.code != diagnostic.code and one.span and diagnostic.span and _is_below(one, diagnostic, rewritten)
            for one in new
        )
        return gone and bool(new) and below


def _edited(edits: Sequence[Edit]) -> dict[str, Source]:
    """The texts after the edits."""
    sources = {edit.span.source.path: edit.span.source for edit in edits}
    return {path: Source(path, _applied(source.text, path, edits)) for path, source in sources.items()}


def _applied(text: str, path: str, edits: Sequence[Edit]) -> str:
    own = sorted((e for e in edits if e.span.source.path == path), key=lambda e: (e.span.start, e.span.end))
    for edit in reversed(own):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def errors_of(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    return [one for one in diagnostics if one.severity == "error"]


def keys(diagnostics: Iterable[Diagnostic]) -> set[Key]:
    return {key_of(one) for one in diagnostics}


def _is_below(one: Diagnostic, other: Diagnostic, rewritten: int | None) -> bool:
    """Whether a finding stands below another, or is about the value that an edit there wrote."""
    assert one.span is not None
    assert other.span is not None
    elsewhere = one.span.source.path != other.span.source.path
    return elsewhere or one.span.start > other.span.start or one.span.start == rewritten
