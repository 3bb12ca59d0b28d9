"""How a constructor writes modules that stand together: lists, dictionaries, and families that a loop makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.print.code import quoted
from netc.backends.pytorch.print.document import BREAK, layout
from netc.backends.pytorch.print.file import File
from netc.backends.pytorch.print.identifiers import Identifiers
from netc.backends.pytorch.print.loops import Family, column, loop_of, over
from netc.backends.pytorch.print.members import Members, as_range, is_expression
from netc.backends.pytorch.print.place import is_kept_buffer, tensor_kind
from netc.expr.terms import (
    is_plain,
    lit,
)
from netc.expr.tree import (
    Expr,
    Literal,
    names_in,
)

MANY = 3
"""So many members that differ in numbers alone are made by a loop."""


class Containers(Members):
    """Writes the containers of one class's `__init__`."""

    def __init__(self, plan: Plan, file: File) -> None:
        self.places = file.places(plan)
        super().__init__(plan, file, Identifiers(plan, file.reserved, self.places.heads))
        self._made: set[str] = set()

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
        """The members of a list that come next and differ in numbers alone: those of a loop of the spec, or such as are
        given the same arguments."""
        run: list[tree.Module] = []
        for name in names_:
            made = self.places.placed.get(f"{path}.{name}")
            plain = made is not None and is_expression(made) and not tensor_kind(made)
            if made is None or not plain or (run and self._form(made) != self._form(run[0])):
                break
            run.append(made)
        if self._loop_of(run):
            return run
        given = [self._given(made) for made in run]
        alike = next((i for i, one in enumerate(given) if one != given[0]), len(run))
        return run[:alike] if alike >= MANY else []

    def _loop_of(self, run: Sequence[tree.Module]) -> tree.Turns | None:
        """The loop of the spec that makes just these modules."""
        found = loop_of(self.plan, run[0]) if len(run) >= MANY else None
        if found is None or len(found[1]) != len(run):
            return None
        return found[0] if all(one is other for one, other in zip(found[1], run, strict=True)) else None

    def _given(self, made: tree.Module) -> list[bool]:
        """Which arguments of a module are written."""
        return [not hole.is_omitted(self.said(hole)) for hole in self.plan.holes_in(made)]

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
        for hole in self.plan.holes_in(made):
            term = self.said(hole)
            kinds.append(None if isinstance(term, Literal) and is_plain(term.value) else term)
        return tuple(kinds)

    def _container(self, path: str) -> str:
        family = next((f for f in self.places.families.values() if f.path == path), None)
        if family is not None:
            return self._family(family)
        children = self.places.children(path)
        force = BREAK if len(children) > 1 else ""
        if self.places.is_list(path):
            members = list(self._runs(path, children))
            if len(members) == 1 and members[0][0] == "*":
                return f"nn.ModuleList{members[0][1:]}"
            return f"nn.ModuleList([{force}{', '.join(members)}])"
        pairs = ", ".join(f"{quoted(name)}: {self._child(f'{path}.{name}')}" for name in children)
        return f"nn.ModuleDict({{{force}{pairs}}})"

    def _runs(self, path: str, children: Sequence[str]) -> Iterator[str]:
        """The members of a list; those in a row that differ in numbers alone as one expression."""
        waiting = list(children)
        while waiting:
            run = self._run(path, waiting)
            if run:
                yield f"*({' '.join(self._turns(run))})"
            else:
                yield self._child(f"{path}.{waiting[0]}")
            self._made |= {f"{path}.{name}" for name in waiting[: len(run)]}
            waiting = waiting[max(len(run), 1) :]

    def _turns(self, made: Sequence[tree.Module]) -> tuple[str, str]:
        """Modules that differ in numbers alone, as what makes one and what it is made for: the loop of the spec that
        made them, and lists of what that does not say."""
        loop = self._loop_of(made)
        key = f"list {len(self.ids.of)}" if loop is None else loop.key
        columns: dict[str, tuple[Any, ...]] = {}
        terms: list[Expr] = []
        for holes in zip(*map(self.plan.holes_in, made), strict=True):
            said = [self.said(hole) for hole in holes]
            if any(term != said[0] for term in said):
                term = None if loop is None else self._over(loop, holes)
                values = tuple(term.value for term in said if isinstance(term, Literal))
                terms.append(term or column(columns, f"|{key}.{holes[0].name}", values))
                self._varied[id(holes[0])] = terms[-1]
        turns = loop or tree.Turns(key, (), tree.Hole("", "iterable", ()), ((),) * len(made))
        words = self._each(turns, terms, columns)
        text = self.code(made[0]).text
        self._varied.clear()
        return text, words

    def _over(self, loop: tree.Turns, holes: Sequence[tree.Hole]) -> Expr | None:
        """A number of every turn, where the variables of the loop alone say it."""
        term = over(self.plan, loop, holes)
        own = {f"${loop.key}.{name}" for name in loop.names}
        return term if term is not None and names_in(term) <= own else None

    def _child(self, path: str) -> str:
        self._made.add(path)
        family = next((f for f in self.places.families.values() if f.path == path), None)
        if family is not None:
            return self._family(family)
        made = self.places.placed.get(path)
        return self._container(path) if made is None else self.code(made).text

    def _family(self, family: Family) -> str:
        """The modules of every turn of a loop."""
        made, terms = family.made, family.terms
        words = self._each(family.turns, terms, family.columns)
        if isinstance(made, tree.New):
            built = f"{self.plan.callee(made).class_name}({', '.join(self._arguments(made, terms))})"
        else:
            built = self._operator(made, terms)
        return f"nn.ModuleList({built} {words})"

    def _each(self, turns: tree.Turns, terms: Sequence[Expr], columns: Mapping[str, tuple[Any, ...]]) -> str:
        """`for i, width in …`: the variables of a loop that are used, and lists of numbers beside them."""
        used = {n for term in terms for n in names_in(term)}
        own = [name for name in turns.names if f"${turns.key}.{name}" in used]
        said = self.plan.chooser.choose(turns.iterable, frozenset()) if own else None
        pairs: list[tuple[str, Expr]] = [
            (self.ids.column(key), lit(values)) for key, values in columns.items() if key in used
        ]
        if own and isinstance(said, Literal):
            rows = said.value if len(turns.names) > 1 else tuple((value,) for value in said.value)
            places = [turns.names.index(name) for name in own]
            lists = [as_range(tuple(row[at] for row in rows)) for at in places]
            pairs = [*zip((self.ids.counter(turns.key, name) for name in own), lists, strict=True), *pairs]
        elif own and said is not None:
            shown = [self.ids.counter(turns.key, n) if n in own else "_" for n in turns.names]
            row = ", ".join(shown) if not pairs or len(shown) == 1 else f"({', '.join(shown)})"
            pairs = [(row, said), *pairs]
        if not pairs:
            return f"for _ in range({len(turns.turns)})"
        values = ", ".join(self.say(value).text for _, value in pairs)
        return f"for {', '.join(name for name, _ in pairs)} in {values if len(pairs) == 1 else f'zip({values})'}"

    def _numbered(self, size: int, *, keyed: bool) -> Iterator[str]:
        """The members of a class that is a list of modules, or those that are modules with their keys."""
        for path in map(str, range(size)):
            made = self.places.placed.get(path)
            inside = made is not None or self.places.children(path)
            self._made.add(path)
            text = self.code(made).text if made is not None else self._container(path) if inside else ""
            if text:
                yield f"{quoted(path)}: {text}" if keyed else text
