"""Other sizes of a network's inputs under which its tensors fit: declared symbols, or numbers near those given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from netc.diagnostics.model import Diagnostic, Edit, Fix, Span
from netc.dims import Domain, Size, TooComplex, bind, dim_source, substitute, symbol, symbols
from netc.dims.declare import declarations
from netc.expr.evaluate import Context, ExprError, evaluate
from netc.expr.scope import Scope
from netc.expr.tree import Literal, Name, names_in
from netc.passes.elaborate.collector import Clue, moved
from netc.passes.trials import Trials
from netc.syntax.ast import Input, SpecFile
from netc.types import BATCH

MAX_DEPTH = 4
"""Declarations one after another: each for the first place that does not fit with those before."""

MAX_FORMS = 16
"""Declarations tried for one place."""

MAX_REACH = 64
"""How far from a given size another is looked for, which is not under half of it."""

MAX_NUMBERS = 6
"""Sizes tried on either side of the given one."""

Texts = Mapping[tuple[int, int], str]
"""What stands at places of a spec, from a first offset to a last one."""


class Resizer:
    """Looks for sizes of the inputs that mend a finding."""

    def __init__(self, trials: Trials, diagnostic: Diagnostic, clue: Clue) -> None:
        self.trials, self.found, self.clue = trials, diagnostic, clue

    def offers(self) -> Iterator[Fix]:
        """Declarations where the sizes are symbolic, numbers where they are given, both where there are both."""
        spec = self.trials.first.spec
        if spec is None or not all(declared.shape for declared in spec.inputs or ()):
            return
        freed = _freed(spec)
        if not any(symbols(size) for pair in self.clue.pairs for size in pair):
            yield from () if freed is None else self._numbers(freed)
            return
        plain = _Freed((), {}, spec)
        forms = self._search(plain, {}, self.clue.pairs, MAX_DEPTH)
        if forms is not None:
            yield plain.fix({}, forms)
        elif freed is not None:
            yield from self._both(freed)

    def _search(
        self, freed: _Freed, declared: Mapping[str, Size], pairs: Sequence[tuple[Size, Size]], depth: int
    ) -> dict[str, Size] | None:
        """What symbols are to be declared as, in terms of themselves; None where nothing is found."""
        dead_end = None
        for form in list(declarations(pairs))[:MAX_FORMS]:
            joined = _compose(declared, form)
            if not symbols(joined.get(BATCH, symbol(BATCH))):
                continue
            edits = freed.declared(joined)
            if not edits:
                return None
            if self.trials.mends(self.found, edits):
                return joined
            dead_end = dead_end or (joined, self._next_pairs(edits))
        if dead_end is None or depth == 1 or not dead_end[1]:
            return None
        return self._search(freed, dead_end[0], dead_end[1], depth - 1)

    def _next_pairs(self, edits: Sequence[Edit]) -> tuple[tuple[Size, Size], ...]:
        """What should be equal where the network now fails first."""
        after = self.trials.outcome(edits)
        return next((clue.pairs for one in after.found if (clue := after.clues.get(one)) and clue.pairs), ())

    def _both(self, freed: _Freed) -> Iterator[Fix]:
        """Symbols declared as something, and the nearest numbers on either side for the sizes that are given."""
        edits = freed.declared({})
        forms = self._search(freed, {}, [(gap, 0) for gap in self._gaps(edits)], MAX_DEPTH)
        for step in (-1, 1) if forms is not None else ():
            assert forms is not None
            chosen = {name: _of_form(forms.get(name), value, step) for name, value in freed.values.items()}
            own = {name: form for name, form in forms.items() if name not in freed.values}
            if all(chosen.values()):
                yield freed.fix(chosen, own)

    def _numbers(self, freed: _Freed) -> Iterator[Fix]:
        """The nearest sizes on either side, for all spatial axes together."""
        gaps = self._gaps(freed.declared({}))
        for step in (-1, 1) if gaps else ():
            for chosen in _near(gaps, freed.values, step):
                fix = freed.fix(chosen, {})
                if fix.edits and self.trials.mends(self.found, fix.edits):
                    yield fix
                    break

    def _gaps(self, edits: Sequence[Edit]) -> list[Size]:
        """Sizes that should be 0 at the finding's place, once the inputs' sizes are symbols."""
        after = self.trials.outcome(edits)
        key = moved(self.found, edits)
        if self.found.code == "lost-input":
            return [size for size in after.losses.get(key[1:], ()) if symbols(size)]
        for one in after.found:
            clue = after.clues.get(one)
            if clue is not None and one.span is not None and (one.code, one.span.source.path, one.span.start) == key:
                try:
                    return [gap for a, b in clue.pairs if (gap := a - b) != 0]
                except TooComplex:
                    return []
        return []


def _near(gaps: Sequence[Size], values: Mapping[str, int], step: int) -> Iterator[dict[str, int]]:
    """Values on one side of the given ones that close all gaps, the nearest first; equal ones stay equal."""
    sizes = {
        name: _closing([gap for gap in gaps if symbols(gap) == {name}], name, values[name], step) for name in values
    }
    for turn in range(MAX_NUMBERS):
        chosen = {}
        for name, value in values.items():
            candidates = [n for other, near in sizes.items() if values[other] == value for n in near[turn : turn + 1]]
            chosen[name] = max(candidates, key=lambda n: abs(n - value), default=value)
        if all(bind(gap, chosen) == 0 for gap in gaps):
            yield chosen


def _closing(gaps: Sequence[Size], name: str, value: int, step: int) -> list[int]:
    """The values of one symbol that close its gaps; none where the given one does."""
    if all(bind(gap, {name: value}) == 0 for gap in gaps):
        return []
    reach = (value + step * far for far in range(1, MAX_REACH))
    return [n for n in reach if 2 * n >= value and all(bind(gap, {name: n}) == 0 for gap in gaps)][:MAX_NUMBERS]


def _of_form(form: Size | None, value: int, step: int) -> int:
    """The number nearest to a given one, on one side, that `2*h+1` stands for, itself if it can; 0 where none is."""
    if form is None:
        return value
    names = symbols(form)
    stands = {bind(form, dict.fromkeys(names, n)) for n in range(1, value + MAX_REACH)} if len(names) == 1 else set()
    reach = (value + step * far for far in range(MAX_REACH))
    return next((n for n in reach if 2 * n >= value and n in stands), 0)


class _Place(msgspec.Struct, frozen=True, eq=False):
    """A given size: where it is read, where its number is written (there, or as an argument's default), its symbol."""

    read: Span
    written: Span
    symbol: str


class _Freed(msgspec.Struct, frozen=True, eq=False):
    """Given sizes of inputs as symbols, and the number each symbol stands for."""

    places: tuple[_Place, ...]
    values: dict[str, int]
    spec: SpecFile

    def declared(self, forms: Mapping[str, Size]) -> tuple[Edit, ...]:
        """The given sizes as their symbols, and all symbols declared as `forms` has them; nothing where one cannot."""
        texts = {(p.read.start, p.read.end): dim_source(forms.get(p.symbol, symbol(p.symbol))) for p in self.places}
        own = self._as_declared(forms)
        return () if own is None else _edits(self.spec, {**texts, **own})

    def fix(self, chosen: Mapping[str, int], forms: Mapping[str, Size]) -> Fix:
        """The inputs with other numbers, and symbols declared as something; nothing to edit where one argument would
        have to be two."""
        own = self._as_declared(forms)
        changed = [place for place in self.places if chosen[place.symbol] != self.values[place.symbol]]
        numbers = {(p.written.start, p.written.end): str(chosen[p.symbol]) for p in changed}
        if own is None or any(numbers[p.written.start, p.written.end] != str(chosen[p.symbol]) for p in changed):
            return Fix("", ())
        shown = {**own, **{(p.read.start, p.read.end): str(chosen[p.symbol]) for p in changed}}
        shapes = [
            f"`{declared.name}: [{', '.join(texts)}]`"
            for declared in self.spec.inputs or ()
            if (texts := _texts(declared, shown)) != _texts(declared, {})
        ]
        verb = "make the input" if changed else "declare"
        return Fix(f"{verb} {' and '.join(shapes)}", _edits(self.spec, {**own, **numbers}))

    def _as_declared(self, forms: Mapping[str, Size]) -> Texts | None:
        """The sizes that have these symbols, with them declared so; None where one cannot be evaluated."""
        changes = {}
        for declared in self.spec.inputs or ():
            for expr in declared.shape or ():
                if set(names_in(expr)) & forms.keys():
                    try:
                        size = evaluate(expr, Context(Scope(None, {}), Domain(), symbols=True))
                    except ExprError:
                        return None
                    changes[expr.start, expr.end] = dim_source(substitute(size, forms))
        return changes


def _freed(spec: SpecFile) -> _Freed | None:
    """Spatial sizes that are numbers as symbols of their own; None where there are none, or no letters left."""
    source = spec.span.source
    letters = [c for c in "hwdtuvabefgklmnpqrs" if not re.search(rf"\b{c}\b", source.text)]
    defaults = {p.name: p.default for p in spec.parameters if isinstance(p.default, Literal)}
    places, values = [], {}
    for declared in spec.inputs or ():
        shape = declared.shape or ()
        for expr in shape[2:] if len(shape) > 2 else ():
            number = defaults.get(expr.id) if isinstance(expr, Name) else expr
            if isinstance(number, Literal) and type(number.value) is int:
                if not letters:
                    return None
                letter = letters.pop(0)
                values[letter] = number.value
                spans = [Span(source, one.start, one.end) for one in (expr, number)]
                places.append(_Place(spans[0], spans[1], letter))
    return _Freed(tuple(places), values, spec) if places else None


def _compose(declared: Mapping[str, Size], form: Mapping[str, Size]) -> dict[str, Size]:
    """What symbols stand for after a second declaration."""
    return {**form, **{name: substitute(size, form) for name, size in declared.items()}}


def _edits(spec: SpecFile, texts: Texts) -> tuple[Edit, ...]:
    return tuple([Edit(Span(spec.span.source, *place), text) for place, text in texts.items()])


def _texts(declared: Input, changes: Texts) -> list[str]:
    """The sizes of an input as they are written, some changed."""
    text = declared.span.source.text
    return [changes.get((e.start, e.end), text[e.start : e.end]) for e in declared.shape or ()]
