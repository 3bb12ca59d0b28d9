"""Writes `__init__`: parameters, derived values, modules in the order of the spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.common import Param
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.print.code import quoted
from netc.backends.pytorch.print.containers import Containers
from netc.backends.pytorch.print.document import BREAK, layout
from netc.backends.pytorch.print.file import File
from netc.backends.pytorch.print.members import FEW, is_expression
from netc.backends.pytorch.print.place import tensor_kind
from netc.backends.pytorch.tree import applied, branches
from netc.backends.pytorch.tree.names import statement_name, word
from netc.expr.terms import (
    cost,
    is_compared_with_none,
)
from netc.expr.tree import OR, Binary, Expr, Literal, Name, Unary, names_in, parts_of

OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
LONG_LET = 6
"""A derived value of this cost is a variable even where it is read once."""


class Constructor(Containers):
    """Writes one class's `__init__`."""

    def __init__(self, plan: Plan, file: File) -> None:
        super().__init__(plan, file)
        self.flags: dict[Expr, str] = {}
        self.guards: dict[str, str] = dict(self._guards(plan.tree.steps))
        """Conditions that are whether a module is there."""
        self._set: set[Expr] = set()
        self._inlined = self._once()

    def _once(self) -> frozenset[str]:
        """Derived values that are short and read once stand where they are read."""
        reads: dict[str, int] = {}
        for hole in self.plan.holes:
            for name in names_in(self.said(hole)):
                reads[name] = reads.get(name, 0) + 1
        inner = {n for name in reads if name[0] in ":=" for n in names_in(self.plan.let(name))}
        short = {n for n, count in reads.items() if n[0] == ":" and count == 1 and cost(self.plan.let(n)) < LONG_LET}
        return frozenset(short - inner)

    # The method

    def lines(self, stored: Sequence[str] = ()) -> list[str]:
        """The whole method, indented for a class; nothing where there is nothing to construct."""
        whole = self.plan.tree.whole
        head = list(layout(f"def __init__({self._signature()}) -> None:", 4))
        if whole is not None:
            return [*head, *self._lets(), *self._whole(whole)]
        if self.places.numbered:
            members = list(self._numbered(self.places.numbered, keyed=self.places.keyed))
            force = BREAK if len(members) > FEW else ""
            brackets = "{}" if self.places.keyed else "[]"
            inside = f"{brackets[0]}{force}{', '.join(members)}{brackets[1]}"
            body = list(layout(f"super().__init__({inside})", 8))
        else:
            base = self.places.base
            given = "" if base is None else self.code(base).text.partition("(")[2].removesuffix(")")
            body = list(layout(f"super().__init__({given})", 8))
        made = list(self._steps(self.plan.tree.steps, 8))
        kept = [f"        self.{attribute} = {self._kept(name)}" for name, attribute in self.ids.stored.items()]
        if body == ["        super().__init__()"] and not (made or kept or stored or self.plan.params):
            return []
        lets = list(self._lets())
        first = [*lets, *body] if self.places.numbered or self.places.base is not None else [*body, *lets]
        return [*head, *first, *kept, *stored, *made]

    def base(self) -> str:
        """The class this one derives from."""
        if self.places.numbered or self._is_list():
            return "nn.ModuleDict" if self.places.keyed else "nn.ModuleList"
        if self.plan.tree.whole is not None:
            return "nn.Sequential"
        return "nn.Module" if self.places.base is None else self.code(self.places.base).text.partition("(")[0]

    def _kept(self, name: str) -> str:
        return self.say(Name(id=name)).text

    def _signature(self) -> str:
        return ", ".join(("self", *map(self._parameter, self.plan.params)))

    def _parameter(self, param: Param) -> str:
        default = "" if param.default is None else f" = {self.say(param.default).text}"
        return f"{self.ids.of[param.name]}: {self._annotation(param)}{default}"

    def _annotation(self, param: Param) -> str:
        """The types of a parameter's values."""
        values = [*param.values.values(), *([] if param.default is None else [param.default.value])]
        if any(isinstance(value, tree.Factory) for value in values):
            self.file.add("collections.abc:Callable")
            given = max(_given(self.plan, param.name), default=0)
            kind = f"Callable[[{', '.join(['int'] * given)}], nn.Module]"
            return f"{kind} | None" if None in values else kind
        fixed = param.name in self._settings
        kinds = dict.fromkeys(_kind(value, fixed) for value in values)
        if "float" in kinds:
            kinds.pop("int", None)
        if [*kinds] == ["None"] and any(_computes_with(param.name, term) for term in self.plan.chosen.values()):
            return "int | None"
        return " | ".join(sorted(kinds, key=lambda kind: kind == "None"))

    @cached_property
    def _settings(self) -> frozenset[str]:
        """Parameters that torch's operators are given as they are: these have a number for each axis."""
        made = (node for node in tree.walk(self.plan.tree) if isinstance(node, tree.Make))
        own = [node for node in made if node.form is not None and node.form.helper is None]
        terms = (self.said(hole) for node in own for hole in self.plan.holes_in(node))
        return frozenset(term.id for term in terms if isinstance(term, Name))

    def _lets(self) -> Iterator[str]:
        done: set[str] = set()

        def define(name: str) -> Iterator[str]:
            if name in done or name in self._inlined:
                return
            done.add(name)
            for inner in sorted(names_in(self.plan.let(name))):
                if inner[0] in ":=":
                    yield from define(inner)
            yield from layout(f"{self.ids.of[name]} = {self.say(self.plan.let(name)).text}", 8)

        for name in self.ids.of:
            if name[0] in ":=":
                yield from define(name)

    # Steps in order

    def _steps(self, steps: Sequence[tree.Step], indent: int) -> Iterator[str]:
        for step in steps:
            if isinstance(step, tree.Branch):
                yield from self._branch(step, indent)
            elif isinstance(step, tree.Turns):
                for turn in step.turns:
                    yield from self._steps(turn, indent)
            elif isinstance(step, tree.Apply) and self.places.is_made(step):
                yield from self._dictionaries([step], indent)
                yield from self._place(step, indent)

    def flag(self, condition: tree.Hole, path: str) -> str:
        """The attribute that keeps a condition: one for each."""
        term = self.said(condition)
        if term not in self.flags:
            plain = isinstance(term, Name) and self.ids.of.get(term.id)
            residual = path.rpartition(".")[2] in ("out", "residual", "sum", "add")
            self.flags[term] = self.ids.flag(
                plain or ("use_residual" if residual else f"has_{word(statement_name(path))}")
            )
        return self.flags[term]

    def condition(self, hole: tree.Hole, path: str) -> tuple[str, str]:
        """A condition and its opposite in `forward`: said by what is kept anyway, else by a flag of its own."""
        term = self.said(hole)
        if self._is_told(term):
            return self.say_stored(term, {}).text, self.say_stored(_negated(term), {}).text
        flag = f"self.{self.flag(hole, path)}"
        return flag, f"not {flag}"

    def _is_told(self, term: Expr) -> bool:
        """Whether a condition only compares a number that `forward` needs anyway."""
        match term:
            case Binary(op=op, left=Name(id=name), right=Literal()) if op in OPPOSITE:
                return name in self._needed
        return False

    @cached_property
    def _needed(self) -> frozenset[str]:
        """The names of the numbers of expressions in `forward`."""
        holes = (hole for a in applied(self.plan.tree.steps) if a.call is not None for hole in a.holes)
        return frozenset().union(*(names_in(self.said(hole)) for hole in holes))

    def _guards(self, steps: Sequence[tree.Step]) -> Iterator[tuple[str, str]]:
        """Conditions under which there is one module more: it is None otherwise."""
        for node in branches(steps):
            inside = [inner for side in node.both() for inner in side.steps]
            made = [a for a in applied(inside) if self.places.is_made(a)]
            if len(made) != 1 or next(branches(inside), None) is not None:
                continue
            path, module = made[0].module, made[0].make
            others = [a for step in steps for a in applied([step]) if a.module == path and a is not made[0]]
            plain = module is not None and is_expression(module) and not tensor_kind(module)
            if plain and not others and not list(self.places.stepwise(made[0])) and path not in self.places.families:
                there = made[0] in list(applied(node.both()[0].steps))
                yield node.out, f"{self.places.access(path)} {'is not' if there else 'is'} None"

    def _branch(self, step: tree.Branch, indent: int) -> Iterator[str]:
        if step.out in self.guards:
            yield from self._guarded(step, indent)
            return
        inside = [a for side in step.both() for a in applied(side.steps)]
        yield from self._dictionaries(inside, indent)
        for a in inside:
            if self.places.is_made(a) and self._is_always_there(a.module, step):
                yield from self._place(a, indent)
        term = self.said(step.condition)
        if self._is_told(term):
            condition, opposite = self.say(term).text, self.say(_negated(term)).text
        else:
            condition, opposite = self.condition(step.condition, step.path)
            if term not in self._set:
                self._set.add(term)
                yield from layout(f"{condition} = {self.say(term).text}", indent)
        yield from self._typed(step, indent)
        before = set(self._made)
        then = list(self._steps(step.both()[0].steps, indent + 4))
        self._made, after = before, self._made
        otherwise = list(self._steps(step.both()[1].steps, indent + 4))
        self._made |= after
        pad = " " * indent
        if then:
            yield f"{pad}if {condition}:"
            yield from then
        if otherwise:
            yield f"{pad}else:" if then else f"{pad}if {opposite}:"
            yield from otherwise

    def _typed(self, branch: tree.Branch, indent: int) -> Iterator[str]:
        """The type of an attribute that is of one class on one side and of another on the other."""
        sides = [{a.module: a.make for a in applied(body.steps) if self.places.is_made(a)} for body in branch.both()]
        for path in sides[0]:
            made = [side.get(path) for side in sides]
            kinds = {self._form(one)[0] for one in made if one is not None}
            if None not in made and len(kinds) > 1 and path not in self._made and path.isidentifier():
                yield f"{' ' * indent}{self.places.access(path)}: nn.Module"

    def _is_always_there(self, module: str, branch: tree.Branch) -> bool:
        """Whether a module that a branch calls is called outside of it without a condition, or on the other side of the
        same one."""
        sides = _sides_calling(branch, module)
        for step in self.plan.tree.steps:
            if step is branch or not _calls([step], module):
                continue
            if not isinstance(step, tree.Branch):
                return True
            same = self.said(step.condition) == self.said(branch.condition)
            if same and len(sides | _sides_calling(step, module)) > 1:
                return True
        return False

    def _dictionaries(self, steps: Sequence[tree.Apply], indent: int) -> Iterator[str]:
        """Empty containers that members are put into one by one."""
        made = [step for step in steps if self.places.is_made(step)]
        for container in dict.fromkeys(c for step in made for c in self.places.stepwise(step)):
            if container not in self._made:
                self._made.add(container)
                yield f"{' ' * indent}{self.places.access(container)} = nn.ModuleDict()"

    def _guarded(self, step: tree.Branch, indent: int) -> Iterator[str]:
        """A module that is there under a condition, else None."""
        there, absent = ([a for a in applied(side.steps) if self.places.is_made(a)] for side in step.both())
        (made,) = there or absent
        assert made.make is not None
        self._made.add(made.module)
        shown, condition = self.code(made.make), self.say(self.said(step.condition))
        if there:
            text = f"{shown.within(OR)} if {condition.within(OR)} else None"
        else:
            text = f"None if {condition.within(OR)} else {shown.text}"
        yield from layout(f"{self.places.access(made.module)} = {text}", indent)

    def _place(self, step: tree.Apply, indent: int) -> Iterator[str]:
        """A module, or the container it is in, the first time."""
        module, made = step.module, step.make
        family = self.places.families.get(module)
        if family is not None and "." not in family.path:
            if family.path not in self._made:
                self._made.add(family.path)
                yield from layout(f"{self.places.list_of(family)} = {self._family(family)}", indent)
            return
        head = self.places.container_of(module)
        if head in self._made or made is None:
            return
        self._made.add(head)
        if head != module and head not in self.places.placed:
            yield from self._contain(head, indent)
            return
        kind = tensor_kind(made)
        if kind:
            yield from layout(self._tensor(module, made, kind), indent)
        elif module.isdigit() and module not in self.places.moved:
            yield from self._put(f"self.add_module({quoted(module)}, {{}})", made, indent)
        else:
            yield from self._assign(self.places.access(module), made, indent)

    def _assign(self, target: str, made: tree.Module, indent: int, typed: bool = True) -> Iterator[str]:
        """`typed`: the type of what either side of a condition makes stands before it."""
        if not isinstance(made, tree.Either):
            yield from self._put(f"{target} = {{}}", made, indent)
            return
        pad, sides, condition = " " * indent, made.both(), self.said(made.condition)
        kind = ": nn.Module" if typed and target.removeprefix("self.").isidentifier() else ""
        if any(map(_is_identity, sides)) and kind:
            there, held = (sides[0], True) if _is_identity(sides[1]) else (sides[1], False)
            yield f"{pad}{target}{kind} = nn.Identity()"
            yield from layout(f"if {self.say(condition if held else _negated(condition)).text}:", indent)
            yield from self._assign(target, there, indent + 4, typed=False)
            return
        if kind and not all(self._form(side)[0] == self._form(sides[0])[0] for side in sides):
            yield f"{pad}{target}{kind}"
        yield from layout(f"if {self.say(condition).text}:", indent)
        yield from self._assign(target, sides[0], indent + 4, typed=False)
        yield f"{pad}else:"
        yield from self._assign(target, sides[1], indent + 4, typed=False)


def _given(plan: Plan, name: str) -> Iterator[int]:
    """How many numbers the operator that an argument holds is given, by place."""
    for node in tree.walk(plan.tree):
        if isinstance(node, tree.Operator) and plan.said(node.hole) == Name(id=name):
            yield len(node.site)
        elif isinstance(node, tree.New):
            callee = plan.callee(node)
            for param, hole in zip(callee.params, plan.arguments[id(node)], strict=True):
                if plan.said(hole) == Name(id=name):
                    yield from _given(callee, param.name)


def _is_identity(made: tree.Module) -> bool:
    return isinstance(made, tree.Make) and made.form == tree.IDENTITY


def _negated(term: Expr) -> Expr:
    """The opposite of a condition."""
    match term:
        case Binary(op=op, left=left, right=right) if op in OPPOSITE:
            return Binary(op=OPPOSITE[op], left=left, right=right)
        case Unary(op="not", operand=operand):
            return operand
    return Unary(op="not", operand=term)


def _sides_calling(branch: tree.Branch, module: str) -> set[int]:
    """Which sides of a branch call a module."""
    return {i for i, body in enumerate(branch.both()) if _calls(body.steps, module)}


def _calls(steps: Sequence[tree.Step], module: str) -> bool:
    return any(a.module == module for a in applied(steps))


def _computes_with(name: str, term: Expr) -> bool:
    """Whether a term does more with a name than hand it on or ask whether it is None."""
    parts = [] if is_compared_with_none(term) else parts_of(term)
    return any(part == Name(id=name) or _computes_with(name, part) for part in parts)


def _kind(value: Any, fixed: bool = False) -> str:
    """The type of a value; a tuple's with its length where that is `fixed`."""
    if isinstance(value, tuple) and value and fixed:
        return f"tuple[{', '.join(map(_kind, value))}]"
    if isinstance(value, tuple):
        inner = " | ".join(dict.fromkeys(map(_kind, value))) or "int"
        return f"tuple[{inner}, ...]"
    if isinstance(value, tree.Dtype):
        return "torch.dtype"
    return "None" if value is None else type(value).__name__
