"""How a constructor writes modules: each as an expression, sequences of them, and the terms they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, pairwise, takewhile
from typing import Any

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.print.code import MATH, Code, filled, quoted, said
from netc.backends.pytorch.print.document import BREAK, layout
from netc.backends.pytorch.print.file import File
from netc.backends.pytorch.print.identifiers import Identifiers
from netc.backends.pytorch.print.runs import LEAST, Row, Run
from netc.backends.pytorch.tree.number import length_of
from netc.expr.terms import (
    folded,
    lit,
    substitute,
)
from netc.expr.tree import CHOICE, OR, Binary, Expr, Function, ListExpr, Literal, Name, names_in, walk

FEW = 2
"""So many members of a sequence may stand on one line."""


class Members:
    """Writes the modules and terms of one class's `__init__`."""

    def __init__(self, plan: Plan, file: File, ids: Identifiers) -> None:
        self.plan, self.file, self.ids = plan, file, ids
        self._varied: dict[int, Expr] = {}
        self._inlined: frozenset[str] = frozenset()
        self._declared: set[str] = set()
        self._held: dict[str, Expr] = {}
        """Numbers that variables of loops hold where the next statement stands."""
        self._idle: dict[bool, list[str]] = {False: [], True: []}
        """Variables whose list, or dictionary, is done."""

    def _is_list(self) -> bool:
        """Whether the class is a sequence that hands out more than the last tensor."""
        whole = self.plan.tree.whole
        return whole is not None and bool(self.plan.tree.taps) and not _is_named(whole.members)

    def _whole(self, whole: tree.Sequence) -> Iterator[str]:
        if is_expression(whole):
            inside = self._sequence(whole.members).removeprefix("nn.Sequential(").removesuffix(")")
            yield from layout(f"super().__init__({f'[{inside}]' if self._is_list() else inside})", 8)
            return
        variable = self.ids.local("layers")
        yield from self._listed(whole.members, variable, 8)
        inside = variable if _is_named(whole.members) or self._is_list() else f"*{variable}"
        yield f"        super().__init__({inside})"

    def _listed(self, parts: Sequence[tree.Part], variable: str, indent: int) -> Iterator[str]:
        """Statements that fill a list, or an ordered dictionary, with members."""
        named = _is_named(parts)
        start = 0
        known = variable in self._declared
        self._declared.add(variable)
        while not named and start < len(parts) and _is_member(parts[start]):
            start += 1
        if named:
            self.file.add("collections:OrderedDict")
            kind = "" if known else ": OrderedDict[str, nn.Module]"
            yield f"{' ' * indent}{variable}{kind} = OrderedDict()"
        else:
            shown = self._elements(parts[:start], self._element)
            inside, force = ", ".join(shown), BREAK if len(shown) > FEW else ""
            kind = "" if known else ": list[nn.Module]"
            yield from layout(f"{variable}{kind} = [{force}{inside}]", indent)
        yield from self._filled(parts[start:], variable, named, indent)

    def _filled(self, parts: Sequence[tree.Part], variable: str, named: bool, indent: int) -> Iterator[str]:
        pad, waiting = " " * indent, list[str]()

        def flushed() -> Iterator[str]:
            if len(waiting) == 1 and waiting[0].startswith("*"):
                yield from layout(f"{variable} += {waiting[0].removeprefix('*')}", indent)
            elif len(waiting) == 1:
                yield from layout(f"{variable}.append({waiting[0]})", indent)
            elif waiting:
                yield from layout(f"{variable} += [{', '.join(waiting)}]", indent)
            waiting.clear()

        for at, part in enumerate(parts):
            if _is_member(part) and not named:
                waiting.append(self._element(part))
                continue
            yield from flushed()
            match part:
                case tree.Member():
                    yield from self._statement(part, variable, named, indent)
                case tree.Optional(then=then, otherwise=otherwise):
                    self._held.clear()
                    yield from layout(f"if {self.say(self.said(part.condition)).text}:", indent)
                    yield from self._filled(then or (), variable, named, indent + 4) if then else [f"{pad}    pass"]
                    if otherwise:
                        yield f"{pad}else:"
                        yield from self._filled(otherwise, variable, named, indent + 4)
                    self._held.clear()
                case tree.Rolled():
                    yield from self._loop(part, parts[at + 1 :], variable, named, indent)
        yield from flushed()

    def _statement(self, member: tree.Member, variable: str, named: bool, indent: int) -> Iterator[str]:
        """A member that needs more than an expression."""
        made = member.module
        target = f"{variable}[{self._member_name(member)}] = {{}}" if named else f"{variable}.append({{}})"
        if isinstance(made, tree.Make) and made.operator is not None and self._may_be_none(made.operator):
            yield f"{' ' * indent}if {self.say(self.said(made.operator.hole)).text} is not None:"
            yield from layout(target.replace("{}", self._called(made.operator)), indent + 4)
        else:
            yield from self._put(target, made, indent)

    def _put(self, target: str, made: tree.Module, indent: int) -> Iterator[str]:
        """A module where `target` says, with the statements it takes."""
        pad = " " * indent
        if isinstance(made, tree.Sequence) and not is_expression(made):
            named = _is_named(made.members)
            inner = self._idle[named].pop() if self._idle[named] else self.ids.local("layers")
            yield from self._listed(made.members, inner, indent)
            self._idle[named].append(inner)
            star = "" if named else "*"
            yield f"{pad}{target.replace('{}', f'nn.Sequential({star}{inner})')}"
        elif isinstance(made, tree.Either) and not is_expression(made):
            then, otherwise = made.both()
            yield f"{pad}if {self.say(self.said(made.condition)).text}:"
            yield from self._put(target, then, indent + 4)
            yield f"{pad}else:"
            yield from self._put(target, otherwise, indent + 4)
        else:
            yield from layout(target.replace("{}", self.code(made).text), indent)

    def _loop(
        self, loop: tree.Rolled, after: Sequence[tree.Part], variable: str, named: bool, indent: int
    ) -> Iterator[str]:
        for carry in loop.carries:
            entry = self.said(carry.entry)
            shared = isinstance(entry, Name) and entry.id[0] == "~" and not self._is_used(entry.id, after)
            if shared and isinstance(entry, Name):
                self.ids.share(carry.name, entry.id)
            else:
                name = self.ids.carry(carry.name)
                if self._held.get(name) != entry:
                    yield from layout(f"{name} = {self.say(entry).text}", indent)
        self._held.clear()
        yield from layout(f"for {self._variables(loop)} in {self._iterated(loop)}:", indent)
        self.ids.active.append(loop.key)
        yield from self._filled(loop.parts, variable, named, indent + 4)
        self.ids.active.pop()
        for carry in loop.carries:
            value, name = self.say(self.said(carry.exit)).text, self.ids.of[carry.name]
            last = loop.parts[-1] if loop.parts else None
            done = isinstance(last, tree.Rolled) and any(
                self.ids.of.get(inner.name) == name and self.said(inner.exit) == self.said(carry.exit)
                for inner in last.carries
            )
            if value != name and not done:
                yield from layout(f"{name} = {value}", indent + 4)
        self._held.clear()
        self._held.update(self._left(loop))

    def _left(self, loop: tree.Rolled) -> Iterator[tuple[str, Expr]]:
        """The variables that hold the same number after any turn of a loop that has turns."""
        turns = self.plan.said(loop.iterable)
        if isinstance(turns, Literal) and len(turns.value) > loop.skip:
            for carry in loop.carries:
                term = self.said(carry.exit)
                if not any(name[0] in "$~|" for name in names_in(term)):
                    yield self.ids.of[carry.name], term

    def _is_used(self, name: str, parts: Sequence[tree.Part]) -> bool:
        return any(name in names_in(self.said(hole)) for part in parts for hole in self.plan.holes_in(part))

    def _variables(self, loop: tree.Rolled) -> str:
        used = {n for part in loop.parts for hole in self.plan.holes_in(part) for n in names_in(self.said(hole))}
        used |= {n for c in loop.carries for n in names_in(self.said(c.exit))}
        shown = [self.ids.counter(loop.key, n) if f"${loop.key}.{n}" in used else "_" for n in loop.names]
        return ", ".join(shown)

    def _iterated(self, loop: tree.Rolled) -> str:
        """What a loop runs over, without the turns that stand before it."""
        term = self.said(loop.iterable)
        if isinstance(term, Literal) and isinstance(term.value, tuple):
            term = as_range(term.value)
        if loop.skip:
            term = Function(name="range", arguments=(folded(Binary(op="-", left=length_of(term), right=lit(1))),))
        elif isinstance(term, Function) and term.name == "range" and set(self._variables(loop)) == {"_"}:
            term = Function(name="range", arguments=(length_of(term),))
        return self.say(term).text

    def _sequence(self, parts: Sequence[tree.Part]) -> str:
        if not _is_named(parts):
            shown = self._elements(parts, self._element)
            force = BREAK if sum(text[0] != "*" for text in shown) > FEW else ""
            return f"nn.Sequential({force}{', '.join(shown)})"
        self.file.add("collections:OrderedDict")
        pairs = self._elements(parts, self._pair)
        if len(pairs) == 1 and pairs[0].startswith("*("):
            return f"nn.Sequential(OrderedDict({pairs[0][2:-1]}))"
        return f"nn.Sequential(OrderedDict([{BREAK if len(pairs) > 1 else ''}{', '.join(pairs)}]))"

    def _elements(self, parts: Sequence[tree.Part], one: Callable[[tree.Part], str]) -> list[str]:
        """The members of a sequence, those that differ in what counts alone as one expression."""
        rows, found, at = list(map(self._row, parts)), list[str](), 0
        while at < len(parts):
            run = Run(row for row in takewhile(bool, islice(rows, at, None)) if row is not None)
            if run.size < LEAST:
                found.append(one(parts[at]))
                at += 1
            else:
                found.append(self._run_of(parts[at], run))
                at += run.size
        return found

    def _row(self, part: tree.Part) -> Row | None:
        """A member as one of a run, where it is a class with a number or without a name."""
        if not isinstance(part, tree.Member) or not isinstance(part.module, tree.New):
            return None
        name = part.name
        if part.number is not None:
            term = self.said(part.number)
            name = f"{name}{term.value}" if isinstance(term, Literal) else f"{name}_"
        stem = name.rstrip("0123456789")
        digits = name[len(stem) :]
        if name and (not digits or str(int(digits)) != digits):
            return None
        terms = tuple([self.said(hole) for hole in self.plan.arguments[id(part.module)]])
        return Row(int(digits) if digits else None, stem, self.plan.callee(part.module), terms)

    def _run_of(self, part: tree.Part, run: Run) -> str:
        """`*(MBConv(80, 80, i) for i in range(6, 9))`"""
        assert isinstance(part, tree.Member)
        assert isinstance(part.module, tree.New)
        row, counter = run.rows[0], Name(id=f"$run{len(self.ids.of)}.")
        terms = [counter if i in run.varied else term for i, term in enumerate(row.terms)]
        text = f"{self.plan.callee(part.module).class_name}({', '.join(self._arguments(part.module, terms))})"
        if run.first is None:
            return f"*({text} for _ in range({run.size}))"
        variable = self.say(counter).text
        if row.stem:
            text = f'(f"{row.stem}{{{variable}}}", {text})'
        values = as_range(tuple(range(run.first, run.first + run.size)))
        return f"*({text} for {variable} in {self.say(values).text})"

    def _pair(self, part: tree.Part) -> str:
        if isinstance(part, tree.Rolled):
            return self._comprehension(part, self._pair)
        assert isinstance(part, tree.Member)
        return f"({self._member_name(part)}, {self.code(part.module).text})"

    def _member_name(self, member: tree.Member) -> str:
        if member.number is None:
            return quoted(member.name)
        term = self.said(member.number)
        if isinstance(term, Literal):
            return quoted(f"{member.name}{term.value}")
        return f'f"{member.name}{{{self.say(term).text}}}"'

    def _element(self, part: tree.Part) -> str:
        match part:
            case tree.Rolled():
                return self._comprehension(part, self._element)
            case tree.Optional(then=(then,), otherwise=(otherwise,)):
                condition = self.say(self.said(part.condition))
                return f"{self._element(then)} if {condition.within(OR)} else {self._element(otherwise)}"
        assert isinstance(part, tree.Member)
        return self.code(part.module).text

    def _comprehension(self, loop: tree.Rolled, element: Any) -> str:
        """`*(Bottleneck(256, 64) for _ in range(2))`, loops within loops behind one another."""
        words: list[str] = []
        part: tree.Part = loop
        before = list(self.ids.active)
        while isinstance(part, tree.Rolled):
            words.append(f"for {self._variables(part)} in {self._iterated(part)}")
            self.ids.active.append(part.key)
            part = part.parts[0]
        made = element(part)
        self.ids.active = before
        return f"*({made} {' '.join(words)})"

    def code(self, made: tree.Module) -> Code:
        """The expression that makes a module."""
        match made:
            case tree.Make(operator=operator) if operator is not None:
                called = self._called(operator)
                if not self._may_be_none(operator):
                    return Code(called)
                held = self.say(self.said(operator.hole)).text
                return Code(f"nn.Identity() if {held} is None else {called}", CHOICE)
            case tree.Make():
                return Code(self._operator(made))
            case tree.New():
                callee = self.plan.callee(made)
                return Code(f"{callee.class_name}({', '.join(self._arguments(made))})")
            case tree.Sequence():
                return Code(self._sequence(made.members))
        condition = self.say(self.said(made.condition))
        then, otherwise = map(self.code, made.both())
        return Code(f"{then.within(OR)} if {condition.within(OR)} else {otherwise.text}", CHOICE)

    def _may_be_none(self, operator: tree.Operator) -> bool:
        return any(number.value is None for _, number in operator.hole.seen)

    def _called(self, operator: tree.Operator) -> str:
        given = ", ".join(self.say(self.said(hole)).text for hole in operator.site)
        return f"{self.say(self.said(operator.hole)).text}({given})"

    def _operator(self, made: tree.Make, terms: Sequence[Expr] | None = None) -> str:
        form = made.form
        assert form is not None
        cls = self.file.use(form)
        if form.make:
            fields = {}
            for hole in made.holes:
                term = self.said(hole)
                fields[hole.name] = self.say(term)
                fields[f"*{hole.name}"] = Code(", ".join(self.say(item).text for item in _items(term)))
            return self.file.constant(form, filled(form.make, (), fields))
        said = terms if terms is not None else [self.said(hole) for hole in made.holes]
        pairs = zip(made.holes, said, strict=True)
        shown = [text for hole, term in pairs if (text := self._argument(hole, term))]
        cast = [s for s in shown if s.startswith("dtype=") and form.helper is not None]
        built = f"{cls}({', '.join(s for s in shown if s not in cast)})"
        return f"{built}.to({cast[0].removeprefix('dtype=')})" if cast else built

    def _argument(self, hole: tree.Hole, term: Expr) -> str:
        if hole.is_omitted(term):
            return ""
        text = self.say(term).text
        return f"{hole.name}={text}" if hole.keyword else text

    def _arguments(self, made: tree.New, terms: Sequence[Expr] | None = None) -> Iterator[str]:
        callee = self.plan.callee(made)
        known = self.file.identifiers[callee]
        said = terms if terms is not None else [self.said(hole) for hole in self.plan.arguments[id(made)]]
        for param, term in zip(callee.params, said, strict=True):
            if param.default is None:
                yield self.say(term).text
            elif term != param.default:
                yield f"{known[param.name]}={self.say(term).text}"

    def said(self, hole: tree.Hole) -> Expr:
        """What stands in a hole: one expression, or the variable of a list that members are made from."""
        return self._varied.get(id(hole)) or self.plan.said(hole)

    def say(self, term: Expr) -> Code:
        """A term in `__init__`."""
        whole = term if isinstance(term, Literal) else self._with_short(term)
        self._import(whole)
        return said(whole, self._name)

    def say_stored(self, term: Expr, variables: Mapping[str, str]) -> Code:
        """A term in `forward`: what the constructor knows is kept in attributes; some names are variables there."""
        self._import(term)
        return said(term, lambda name: variables.get(name) or f"self.{self.ids.stored_as(name)}", squares=False)

    def _with_short(self, term: Expr) -> Expr:
        found = substitute(term, lambda n: self._with_short(self.plan.let(n)) if n in self._inlined else Name(id=n))
        assert found is not None
        return found

    def _name(self, name: str) -> str:
        if name in self.ids.of:
            return self.ids.of[name]
        key, _, own = name[1:].partition(".")
        return self.ids.carry(name) if name[0] == "~" else self.ids.counter(key, own)

    def _import(self, term: Expr) -> None:
        for part in walk(term):
            if isinstance(part, Function) and part.name in MATH:
                self.file.add("math")
            elif isinstance(part, Function) and part.name == "make_divisible":
                self.file.needs_make_divisible = True
            elif isinstance(part, Literal) and isinstance(part.value, tree.Factory):
                self.file.use_factory(part.value)


def _items(term: Expr) -> Sequence[Expr]:
    """The items of a list that is said as one."""
    if isinstance(term, ListExpr):
        return term.items
    if isinstance(term, Literal) and isinstance(term.value, tuple):
        return [lit(item) for item in term.value]
    return [term]


def _is_named(parts: Sequence[tree.Part]) -> bool:
    return any((isinstance(node, tree.Member) and bool(node.name)) for part in parts for node in _own_members(part))


def _own_members(part: tree.Part) -> Iterator[tree.Part]:
    """Members of the sequence itself, within its loops and conditions."""
    match part:
        case tree.Rolled(parts=parts):
            for inner in parts:
                yield from _own_members(inner)
        case tree.Optional(then=then, otherwise=otherwise):
            for inner in (*(then or ()), *(otherwise or ())):
                yield from _own_members(inner)
        case _:
            yield part


def _is_member(part: tree.Part) -> bool:
    """Whether a part is one expression in a list."""
    match part:
        case tree.Member():
            return is_expression(part.module) and not _vanishes(part)
        case tree.Rolled():
            one = len(part.parts) == 1 and not part.carries and not part.skip
            first = len(part.parts) == 1 and not part.carries and isinstance(part.parts[0], tree.Member)
            return (one or first) and isinstance(part.parts[0], tree.Member | tree.Rolled) and _is_member(part.parts[0])
        case tree.Optional(then=(then,), otherwise=(otherwise,)):
            return all(isinstance(p, tree.Member) and _is_member(p) and not p.name for p in (then, otherwise))
    return False


def _vanishes(member: tree.Member) -> bool:
    """Whether a numbered member is not there where its operator is none."""
    made = member.module
    if not isinstance(made, tree.Make) or made.operator is None:
        return False
    return any(number.value is None for _, number in made.operator.hole.seen)


def is_expression(made: tree.Module) -> bool:
    """Whether a module is made by one expression."""
    match made:
        case tree.Sequence():
            return all(map(_is_member, made.members))
        case tree.Either():
            return all(map(is_expression, made.both()))
    return True


def as_range(values: tuple[Any, ...]) -> Expr:
    """Whole numbers that count are a range."""
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    if whole and len(values) > 1 and all(b - a == 1 for a, b in pairwise(values)):
        bounds = (values[-1] + 1,) if values[0] == 0 else (values[0], values[-1] + 1)
        return Function(name="range", arguments=tuple(map(lit, bounds)))
    return lit(values)
