"""Writes `__init__`: parameters, derived values, modules in the order of the spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.plan import Param, Plan
from netc.backends.pytorch.print.code import CHOICE, MATH, OR, Code, filled, literal, quoted, said
from netc.backends.pytorch.print.document import BREAK, layout
from netc.backends.pytorch.print.file import File
from netc.backends.pytorch.print.identifiers import Identifiers
from netc.backends.pytorch.print.loops import Family
from netc.backends.pytorch.print.place import Places, is_kept_buffer, tensor_kind
from netc.backends.pytorch.tree import applied
from netc.backends.pytorch.tree.names import statement_name, word
from netc.expr.terms import cost, folded, functions, is_plain, lit, names, substitute
from netc.expr.tree import Binary, Expr, Function, ListExpr, Literal, Name, Unary, parts_of

FEW = 2
"""So many members of a sequence may stand on one line."""
MANY = 3
"""So many members that differ in numbers alone are made by a loop."""
LONG_LET = 6
"""A derived value of this cost is a variable even where it is read once."""


class Constructor:
    """Writes one class's `__init__`."""

    def __init__(self, plan: Plan, file: File) -> None:
        self.plan, self.file = plan, file
        self.places = Places(plan)
        self.ids = Identifiers(plan, file.reserved, self.places.heads)
        self.flags: dict[Expr, str] = {}
        self.guards: dict[str, str] = dict(self._guards(plan.tree.steps))
        """Conditions that are whether a module is there."""
        self._made: set[str] = set()
        self._set: set[Expr] = set()
        self._varied: dict[int, Expr] = {}
        self._inlined = self._once()

    def _once(self) -> frozenset[str]:
        """Derived values that are short and read once stand where they are read."""
        reads: dict[str, int] = {}
        for hole in self.plan.holes(self.plan.tree):
            for name in names(self.said(hole)):
                reads[name] = reads.get(name, 0) + 1
        inner = {n for name in reads if name[0] in ":=" for n in names(self.plan.let(name))}
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
            members = [self._numbered(i) for i in range(self.places.numbered)]
            force = BREAK if len(members) > FEW else ""
            body = list(layout(f"super().__init__([{force}{', '.join(members)}])", 8))
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
            return "nn.ModuleList"
        if self.plan.tree.whole is not None:
            return "nn.Sequential"
        return "nn.Module" if self.places.base is None else self.code(self.places.base).text.partition("(")[0]

    def _is_list(self) -> bool:
        """Whether the class is a sequence that hands out more than the last tensor."""
        whole = self.plan.tree.whole
        return whole is not None and bool(self.plan.tree.taps) and not _is_named(whole.members)

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
            given = max((self._given(param.name)), default=0)
            kind = f"Callable[[{', '.join(['int'] * given)}], nn.Module]"
            return f"{kind} | None" if None in values else kind
        fixed = self._is_setting(param.name)
        kinds = dict.fromkeys(_kind(value, fixed) for value in values)
        if "float" in kinds:
            kinds.pop("int", None)
        return " | ".join(sorted(kinds, key=lambda kind: kind == "None"))

    def _is_setting(self, name: str) -> bool:
        """Whether one of torch's operators is given a parameter as it is: it has a number for each axis then."""
        return any(
            isinstance(node, tree.Make)
            and node.form is not None
            and node.form.helper is None
            and any(self.said(hole) == Name(id=name) for hole in self.plan.holes(node))
            for node in tree.walk(self.plan.tree)
        )

    def _given(self, name: str) -> Iterator[int]:
        """How many numbers the operator that an argument holds is given, by place."""
        for node in tree.walk(self.plan.tree):
            if isinstance(node, tree.Operator) and self.plan.chosen.get(id(node.hole)) == Name(id=name):
                yield len(node.site)
            elif isinstance(node, tree.New) and id(node) in self.plan.arguments:
                for param, hole in zip(self.plan.callee(node).params, self.plan.arguments[id(node)], strict=True):
                    if self.said(hole) == Name(id=name):
                        yield from Constructor(self.plan.callee(node), self.file)._given(param.name)

    def _lets(self) -> Iterator[str]:
        done: set[str] = set()

        def define(name: str) -> Iterator[str]:
            if name in done or name in self._inlined:
                return
            done.add(name)
            for inner in sorted(names(self.plan.let(name))):
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

    def _guards(self, steps: Sequence[tree.Step]) -> Iterator[tuple[str, str]]:
        """Conditions under which there is one module more: it is None otherwise."""
        for node in (inner for step in steps for inner in tree.walk(step)):
            if not isinstance(node, tree.Branch) or node.then is None or node.otherwise is None:
                continue
            made = [a for side in (node.then, node.otherwise) for a in applied(side.steps) if self.places.is_made(a)]
            branches = [n for side in (node.then, node.otherwise) for s in side.steps for n in tree.walk(s)]
            if len(made) != 1 or any(isinstance(n, tree.Branch) for n in branches):
                continue
            path, module = made[0].module, made[0].make
            others = [a for step in steps for a in applied([step]) if a.module == path and a is not made[0]]
            plain = module is not None and is_expression(module) and not tensor_kind(module)
            if plain and not others and not list(self.places.stepwise(made[0])) and path not in self.places.families:
                inside = made[0] in list(applied(node.then.steps))
                yield node.out, f"{self.places.access(path)} {'is not' if inside else 'is'} None"

    def _branch(self, step: tree.Branch, indent: int) -> Iterator[str]:
        assert step.then is not None
        assert step.otherwise is not None
        if step.out in self.guards:
            yield from self._guarded(step, indent)
            return
        inside = [a for side in (step.then, step.otherwise) for a in applied(side.steps)]
        yield from self._dictionaries(inside, indent)
        for a in inside:
            if self.places.is_made(a) and self._is_always_there(a.module, step):
                yield from self._place(a, indent)
        term = self.said(step.condition)
        flag = self.flag(step.condition, step.path)
        if term not in self._set:
            self._set.add(term)
            yield from layout(f"self.{flag} = {self.say(term).text}", indent)
        yield from self._typed(step, indent)
        before = set(self._made)
        then = list(self._steps(step.then.steps, indent + 4))
        self._made, after = before, self._made
        otherwise = list(self._steps(step.otherwise.steps, indent + 4))
        self._made |= after
        pad = " " * indent
        if then:
            yield f"{pad}if self.{flag}:"
            yield from then
        if otherwise:
            yield f"{pad}else:" if then else f"{pad}if not self.{flag}:"
            yield from otherwise

    def _typed(self, branch: tree.Branch, indent: int) -> Iterator[str]:
        """The type of an attribute that is of one class on one side and of another on the other."""
        sides = [
            {a.module: a.make for a in applied(body.steps) if self.places.is_made(a)} for _, body in _sides(branch)
        ]
        for path in sides[0]:
            made = [side.get(path) for side in sides]
            kinds = {self._form(one)[0] for one in made if one is not None}
            if None not in made and len(kinds) > 1 and path not in self._made and path.isidentifier():
                yield f"{' ' * indent}{self.places.access(path)}: nn.Module"

    def _is_always_there(self, module: str, branch: tree.Branch) -> bool:
        """Whether a module that a branch calls is called outside of it without a condition, or on the other side of the
        same one."""
        sides = {side for side, body in _sides(branch) if _calls(body.steps, module)}
        for step in self.plan.tree.steps:
            if step is branch or not _calls([step], module):
                continue
            if not isinstance(step, tree.Branch):
                return True
            same = self.said(step.condition) == self.said(branch.condition)
            if same and len(sides | {side for side, body in _sides(step) if _calls(body.steps, module)}) > 1:
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
        assert step.then is not None
        assert step.otherwise is not None
        first = next((a for a in applied(step.then.steps) if self.places.is_made(a)), None)
        made = first or next(a for a in applied(step.otherwise.steps) if self.places.is_made(a))
        assert made.make is not None
        self._made.add(made.module)
        shown, condition = self.code(made.make), self.say(self.said(step.condition))
        if first is not None:
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

    def _tensor(self, path: str, made: tree.Module, kind: str) -> str:
        name = path.rpartition(".")[2]
        if kind == "parameter" and path == name and not name.isdigit():
            return f"self.{name} = {self.code(made).text}"
        more = ", persistent=False" if kind == "buffer" and not is_kept_buffer(made) else ""
        if path == name and not name.isdigit():
            return f"self.{name} = nn.Buffer({self.code(made).text}{more})"
        parent = (
            self.places.access(path.rpartition(".")[0]) if "." in path and path not in self.places.moved else "self"
        )
        return f"{parent}.register_{kind}({quoted(self.places.name(path))}, {self.code(made).text}{more})"

    def _assign(self, target: str, made: tree.Module, indent: int, typed: bool = True) -> Iterator[str]:
        """`typed`: the type of what either side of a condition makes stands before it."""
        if not isinstance(made, tree.Either):
            yield from self._put(f"{target} = {{}}", made, indent)
            return
        pad, sides, condition = " " * indent, [_known(made.then), _known(made.otherwise)], self.said(made.condition)
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

    def _contain(self, path: str, indent: int) -> Iterator[str]:
        """A list or dictionary of modules; member by member where one takes statements."""
        target, members = self.places.access(path), self.places.members(path)
        if all(is_expression(made) and not tensor_kind(made) for made in members.values()):
            yield from layout(f"{target} = {self._container(path)}", indent)
            return
        listed = self.places.is_list(path)
        yield f"{' ' * indent}{target} = nn.{'ModuleList' if listed else 'ModuleDict'}()"
        waiting = self.places.children(path)
        while waiting:
            run = self._run(path, waiting) if listed else []
            if run:
                text, words = self._turns(run)
                yield from layout(f"{words}:", indent)
                yield from layout(f"{target}.append({text})", indent + 4)
                waiting = waiting[len(run) :]
                continue
            name, *waiting = waiting
            made = self.places.placed.get(f"{path}.{name}")
            place = f"{target}.append({{}})" if listed else f"{target}[{quoted(name)}] = {{}}"
            if made is None:
                yield from self._contain(f"{path}.{name}", indent)
            elif kind := tensor_kind(made):
                yield from layout(self._tensor(f"{path}.{name}", made, kind), indent)
            else:
                yield from self._put(place, made, indent)

    def _run(self, path: str, names_: Sequence[str]) -> list[tree.Module]:
        """The members of a list that come next and differ in numbers alone."""
        run: list[tree.Module] = []
        for name in names_:
            made = self.places.placed.get(f"{path}.{name}")
            plain = made is not None and is_expression(made) and not tensor_kind(made)
            if made is None or not plain or (run and self._form(made) != self._form(run[0])):
                break
            run.append(made)
        return run if len(run) >= MANY else []

    def _form(self, made: tree.Module) -> tuple[Any, ...]:
        """What modules that differ in numbers alone have in common."""
        kinds: list[Any] = []
        for node in tree.walk(made):
            match node:
                case tree.Make(form=form):
                    kinds.append(form)
                case tree.New():
                    kinds.append(id(self.plan.callee(node)))
                case tree.Member(name=name):
                    kinds.append(name)
                case _ if not isinstance(node, tree.Hole):
                    kinds.append(type(node))
        terms = [self.said(hole) for hole in self.plan.holes(made)]
        return *kinds, *(None if isinstance(t, Literal) and is_plain(t.value) else t for t in terms)

    def _container(self, path: str) -> str:
        family = next((f for f in self.places.families.values() if f.path == path), None)
        if family is not None:
            return self._family(family)
        children = self.places.children(path)
        members = [self._child(f"{path}.{name}") for name in children]
        force = BREAK if len(members) > 1 else ""
        if self.places.is_list(path):
            run = self._run(path, children)
            if len(run) == len(children):
                return f"nn.ModuleList({' '.join(self._turns(run))})"
            return f"nn.ModuleList([{force}{', '.join(members)}])"
        pairs = ", ".join(f"{quoted(name)}: {member}" for name, member in zip(children, members, strict=True))
        return f"nn.ModuleDict({{{force}{pairs}}})"

    def _turns(self, made: Sequence[tree.Module]) -> tuple[str, str]:
        """Modules that differ in numbers alone, as what makes one and what it is made for."""
        columns: dict[tuple[Any, ...], Name] = {}
        key = f"|list {len(self.ids.of)}"
        for holes in zip(*map(self.plan.holes, made), strict=True):
            terms = [self.said(hole) for hole in holes]
            if all(term == terms[0] for term in terms):
                continue
            values = tuple(term.value for term in terms if isinstance(term, Literal))
            name = columns.setdefault(values, Name(id=f"{key}.{holes[0].name}.{len(columns)}"))
            self.ids.column(name.id)
            self._varied[id(holes[0])] = name
        text = self.code(made[0]).text
        self._varied.clear()
        if not columns:
            return text, f"for _ in range({len(made)})"
        names_ = ", ".join(self.ids.column(name.id) for name in columns.values())
        lists = ", ".join(literal(values) for values in columns)
        return text, f"for {names_} in {lists if len(columns) == 1 else f'zip({lists})'}"

    def _child(self, path: str) -> str:
        self._made.add(path)
        family = next((f for f in self.places.families.values() if f.path == path), None)
        if family is not None:
            return self._family(family)
        made = self.places.placed.get(path)
        return self._container(path) if made is None else self.code(made).text

    def _family(self, family: Family) -> str:
        """The modules of every turn of a loop."""
        made, terms, words = family.made, family.terms, self._each(family)
        if isinstance(made, tree.New):
            built = f"{self.plan.callee(made).class_name}({', '.join(self._arguments(made, terms))})"
        else:
            built = self._operator(made, terms)
        return f"nn.ModuleList({built} {words})"

    def _each(self, family: Family) -> str:
        """`for i, width in …`: the variables of a loop that are used, and lists of numbers beside them."""
        turns, used = family.turns, {n for term in family.terms for n in names(term)}
        own = [name for name in turns.names if f"${turns.key}.{name}" in used]
        said = self.plan.chooser.choose(turns.iterable, frozenset())
        pairs: list[tuple[str, Expr]] = [
            (self.ids.column(key), lit(values)) for key, values in family.columns.items() if key in used
        ]
        if own and isinstance(said, Literal):
            rows = said.value if len(turns.names) > 1 else tuple((value,) for value in said.value)
            places = [turns.names.index(name) for name in own]
            columns = [_as_range(tuple(row[at] for row in rows)) for at in places]
            pairs = [*zip((self.ids.counter(turns.key, name) for name in own), columns, strict=True), *pairs]
        elif own and said is not None:
            shown = [self.ids.counter(turns.key, n) if n in own else "_" for n in turns.names]
            row = ", ".join(shown) if not pairs or len(shown) == 1 else f"({', '.join(shown)})"
            pairs = [(row, said), *pairs]
        if not pairs:
            return f"for _ in range({len(turns.turns)})"
        values = ", ".join(self.say(value).text for _, value in pairs)
        return f"for {', '.join(name for name, _ in pairs)} in {values if len(pairs) == 1 else f'zip({values})'}"

    def _numbered(self, i: int) -> str:
        made = self.places.placed.get(str(i))
        self._made.add(str(i))
        if made is None:
            return self._container(str(i)) if self.places.children(str(i)) else "nn.Identity()"
        return self.code(made).text

    # Sequences

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
        while not named and start < len(parts) and _is_member(parts[start]):
            start += 1
        if named:
            self.file.add("collections:OrderedDict")
            yield f"{' ' * indent}{variable}: OrderedDict[str, nn.Module] = OrderedDict()"
        else:
            inside = ", ".join(self._element(part) for part in parts[:start])
            force = BREAK if start > FEW else ""
            yield from layout(f"{variable}: list[nn.Module] = [{force}{inside}]", indent)
        yield from self._filled(parts[start:], variable, named, indent)

    def _filled(self, parts: Sequence[tree.Part], variable: str, named: bool, indent: int) -> Iterator[str]:
        pad, waiting = " " * indent, list[str]()

        def flushed() -> Iterator[str]:
            if len(waiting) == 1:
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
                    yield from layout(f"if {self.say(self.said(part.condition)).text}:", indent)
                    yield from self._filled(then or (), variable, named, indent + 4) if then else [f"{pad}    pass"]
                    if otherwise:
                        yield f"{pad}else:"
                        yield from self._filled(otherwise, variable, named, indent + 4)
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
            inner = self.ids.local("layers")
            yield from self._listed(made.members, inner, indent)
            star = "" if _is_named(made.members) else "*"
            yield f"{pad}{target.replace('{}', f'nn.Sequential({star}{inner})')}"
        elif isinstance(made, tree.Either) and not is_expression(made):
            yield f"{pad}if {self.say(self.said(made.condition)).text}:"
            yield from self._put(target, _known(made.then), indent + 4)
            yield f"{pad}else:"
            yield from self._put(target, _known(made.otherwise), indent + 4)
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
                yield from layout(f"{name} = {self.say(entry).text}", indent)
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

    def _is_used(self, name: str, parts: Sequence[tree.Part]) -> bool:
        return any(name in names(self.said(hole)) for part in parts for hole in self.plan.holes(part))

    def _variables(self, loop: tree.Rolled) -> str:
        used = {n for part in loop.parts for hole in self.plan.holes(part) for n in names(self.said(hole))}
        used |= {n for c in loop.carries for n in names(self.said(c.exit))}
        shown = [self.ids.counter(loop.key, n) if f"${loop.key}.{n}" in used else "_" for n in loop.names]
        return ", ".join(shown)

    def _iterated(self, loop: tree.Rolled) -> str:
        """What a loop runs over, without the turns that stand before it."""
        term = self.said(loop.iterable)
        if isinstance(term, Literal) and isinstance(term.value, tuple):
            term = _as_range(term.value)
        match term:
            case _ if loop.skip:
                count = _count(term)
                return f"range({self.say(count).text})"
        return self.say(term).text

    def _sequence(self, parts: Sequence[tree.Part]) -> str:
        if not _is_named(parts):
            shown = [self._element(part) for part in parts]
            force = BREAK if sum(isinstance(part, tree.Member) for part in parts) > FEW else ""
            return f"nn.Sequential({force}{', '.join(shown)})"
        self.file.add("collections:OrderedDict")
        pairs = [self._pair(part) for part in parts]
        if len(pairs) == 1 and pairs[0].startswith("*("):
            return f"nn.Sequential(OrderedDict({pairs[0][2:-1]}))"
        return f"nn.Sequential(OrderedDict([{BREAK if len(pairs) > 1 else ''}{', '.join(pairs)}]))"

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

    # Modules as expressions

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
        then, otherwise = self.code(_known(made.then)), self.code(_known(made.otherwise))
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
                fields[hole.name] = self.say(term).text
                fields[f"*{hole.name}"] = ", ".join(self.say(item).text for item in _items(term))
            return self.file.constant(form, filled(form.make, (), fields))
        said = terms if terms is not None else [self.said(hole) for hole in made.holes]
        pairs = zip(made.holes, said, strict=True)
        shown = [text for hole, term in pairs if (text := self._argument(hole, term))]
        cast = [s for s in shown if s.startswith("dtype=") and form.helper is not None]
        built = f"{cls}({', '.join(s for s in shown if s not in cast)})"
        return f"{built}.to({cast[0].removeprefix('dtype=')})" if cast else built

    def _argument(self, hole: tree.Hole, term: Expr) -> str:
        if hole.omit is not ... and term == lit(hole.omit):
            return ""
        text = self.say(term).text
        return f"{hole.name}={text}" if hole.keyword else text

    def _arguments(self, made: tree.New, terms: Sequence[Expr] | None = None) -> Iterator[str]:
        callee = self.plan.callee(made)
        known = self.file.identifiers(callee)
        said = terms if terms is not None else [self.said(hole) for hole in self.plan.arguments[id(made)]]
        for param, term in zip(callee.params, said, strict=True):
            if param.default is None:
                yield self.say(term).text
            elif term != param.default:
                yield f"{known[param.name]}={self.say(term).text}"

    # Expressions

    def said(self, hole: tree.Hole) -> Expr:
        """What stands in a hole: one expression, or the variable of a list that members are made from."""
        return self._varied.get(id(hole)) or self.plan.said(hole)

    def say(self, term: Expr) -> Code:
        """A term in `__init__`."""
        self._import(term)
        return said(self._with_short(term), self._name)

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
        for function in functions(term):
            if function in MATH:
                self.file.add("math")
            elif function == "make_divisible":
                self.file.needs_make_divisible = True
        for name in (term, *_inner(term)):
            if isinstance(name, Literal) and isinstance(name.value, tree.Factory):
                self.file.use_factory(name.value)


def _is_identity(made: tree.Module) -> bool:
    return isinstance(made, tree.Make) and made.form == tree.IDENTITY


def _negated(term: Expr) -> Expr:
    """The opposite of a condition."""
    opposite = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
    match term:
        case Binary(op=op, left=left, right=right) if op in opposite:
            return Binary(op=opposite[op], left=left, right=right)
        case Unary(op="not", operand=operand):
            return operand
    return Unary(op="not", operand=term)


def _sides(branch: tree.Branch) -> Iterator[tuple[bool, tree.Body]]:
    """The sides of a branch that are there."""
    for side, body in ((True, branch.then), (False, branch.otherwise)):
        if body is not None:
            yield side, body


def _calls(steps: Sequence[tree.Step], module: str) -> bool:
    return any(a.module == module for a in applied(steps))


def _inner(term: Expr) -> Iterator[Expr]:
    for part in parts_of(term):
        yield part
        yield from _inner(part)


def _known(side: tree.Module | None) -> tree.Module:
    assert side is not None
    return side


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
            return all(side is None or is_expression(side) for side in (made.then, made.otherwise))
    return True


def _as_range(values: tuple[Any, ...]) -> Expr:
    """Whole numbers that count are a range."""
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    if whole and len(values) > 1 and all(b - a == 1 for a, b in pairwise(values)):
        bounds = (values[-1] + 1,) if values[0] == 0 else (values[0], values[-1] + 1)
        return Function(name="range", arguments=tuple(map(lit, bounds)))
    return lit(values)


def _count(term: Expr) -> Expr:
    """One turn less than a range of turns has."""
    if isinstance(term, Function) and term.name == "range" and len(term.arguments) == 1:
        return folded(Binary(op="-", left=term.arguments[0], right=lit(1)))
    if isinstance(term, Literal):
        return lit(len(term.value) - 1)
    return Binary(op="-", left=Function(name="len", arguments=(term,)), right=lit(1))


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
