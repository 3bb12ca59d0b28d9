"""What the names of one class are called in its code: each name once, none that another thing has."""

from __future__ import annotations

from collections.abc import Iterator

from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.tree.names import COUNTERS, attribute, loop_of, safe, statement_name, word
from netc.expr.tree import (
    Expr,
    Name,
    names_in,
)

ROLES = {4: ("in_channels", "height", "width"), 5: ("in_channels", "depth", "height", "width")}
"""Sizes of a tensor without its batch, by rank."""
FEATURES = frozenset(("in_features", "normalized_shape", "embed_dim", "input_size", "in2_features"))
"""Arguments of operators that are sizes of a last axis."""
CHANNELS = frozenset(("in_channels", "num_features", "num_channels", "num_parameters", "groups", "in1_features"))
"""Arguments of operators that are sizes of a channel axis."""
SIZES = FEATURES | CHANNELS


class Identifiers:
    """Of one class. `reserved`: what the file defines and imports."""

    def __init__(self, plan: Plan, reserved: frozenset[str], attributes: frozenset[str]) -> None:
        self.plan, self.reserved = plan, reserved
        self.of: dict[str, str] = {}
        self.attributes = set(attributes)
        self.stored: dict[str, str] = {}
        self.active: list[str] = []
        """The loops around what is written."""
        for param in plan.params:
            self._enter(param.name, self._param(param.name))
        terms = [*map(plan.said, plan.holes), *plan.numbers]
        for name in sorted({n for term in terms for n in self._with_lets(plan, term)}):
            self._enter(name, name.lstrip("=:^"))

    def _with_lets(self, plan: Plan, term: Expr) -> Iterator[str]:
        wanted = list(names_in(term))
        while wanted:
            name = wanted.pop()
            if name[0] in ":=":
                yield name
                wanted.extend(names_in(plan.let(name)))

    def _enter(self, name: str, wanted: str) -> str:
        if name not in self.of:
            self.of[name] = safe(wanted, {*self.of.values(), *self.reserved})
        return self.of[name]

    def local(self, wanted: str) -> str:
        """A new variable of the constructor."""
        return self._enter(f"local {wanted} {len(self.of)}", wanted)

    def counter(self, key: str, name: str) -> str:
        """The variable of a loop: loops beside each other may have the same."""
        known = f"${key}.{name}"
        if known not in self.of:
            taken = {n for k, n in self.of.items() if k[0] not in "$|" or loop_of(k) in (*self.active, key)}
            free = (n for n in COUNTERS if n not in taken and n not in self.reserved)
            self.of[known] = safe(name, {*taken, *self.reserved}) if name else next(free)
        return self.of[known]

    def column(self, key: str) -> str:
        """The variable of a list of numbers beside a loop's."""
        if key not in self.of:
            loop, name = key[1:].split(".")[:2]
            taken = {n for k, n in self.of.items() if k[0] not in "$|" or loop_of(k) == loop}
            short = name.removeprefix("in_").removeprefix("out_")
            said = (short, name, *(f"{short}{n}" for n in range(2, len(taken) + 3)))
            self.of[key] = next(w for w in (safe(one, self.reserved) for one in said) if w not in taken)
        return self.of[key]

    def carry(self, name: str) -> str:
        """The variable that holds a size from turn to turn."""
        return self._enter(name, "channels" if name.endswith(".1") else "features")

    def share(self, name: str, with_: str) -> None:
        """Another name for the same variable."""
        self.of[name] = self.of[with_]

    def stored_as(self, name: str) -> str:
        """The attribute that keeps a parameter or a derived value for forward."""
        if name not in self.stored:
            self.stored[name] = self.flag(self.of[name])
        return self.stored[name]

    def flag(self, wanted: str) -> str:
        """A new attribute that holds no tensors."""
        found = attribute(wanted, self.attributes)
        self.attributes.add(found)
        return found

    def _param(self, name: str) -> str:
        if name[0] == "#":
            return self._size(name)
        if name[0] == "<":
            return self._import(name)
        if name[0] == "!":
            path, _, argument = name[1:].rpartition(".")
            argument = argument.rstrip("_").lstrip("^:<")
            own = argument not in SIZES and not any(p.name == argument for p in self.plan.params)
            return argument if own or path.isdigit() else f"{word(statement_name(path))}_{argument}"
        return name.lstrip("^")

    def _size(self, name: str) -> str:
        """A size of an input by its role: channels where an operator asks for channels."""
        trace = self.plan.traces[0]
        position, axis = trace.roles[name]
        rank = trace.block.inputs[position].type.rank
        if axis == rank - 1 and self._is_asked(name, FEATURES):
            role = "in_features"
        elif rank in ROLES:
            role = ROLES[rank][axis - 1]
        elif axis == rank - 1 and not (rank == 3 and self._is_asked(f"#{position}.1", CHANNELS)):
            role = "in_features"
        else:
            role = "in_channels" if axis == 1 and self._is_asked(name, CHANNELS) else "length"
        if len(trace.block.inputs) == 1:
            return role
        return f"{trace.tree.inputs[position]}_{role.removeprefix('in_')}"

    def _is_asked(self, name: str, arguments: frozenset[str]) -> bool:
        return any(hole.name in arguments and name in names_in(self.plan.said(hole)) for hole in self.plan.holes)

    def _import(self, name: str) -> str:
        """A number handed in from around: by its name there, else by the one argument it is."""
        number, outer = next((t.imports[name], t.outer) for t in self.plan.traces if name in t.imports)
        while isinstance(number.term, Name) and outer is not None and number.term.id in outer.imports:
            number, outer = outer.imports[number.term.id], outer.outer
        around = number.term.id if isinstance(number.term, Name) else ""
        if around and around[0] not in "#$!<":
            return around.lstrip("^:")
        asked = [h for h in self.plan.holes if self.plan.said(h) == Name(id=name)]
        kinds = list(dict.fromkeys(hole.name.lstrip("<^#:!") for hole in asked))
        if kinds and kinds[0].isidentifier():
            return kinds[0].rpartition(".")[2]
        if any(h.name == "iterable" and name in names_in(self.plan.said(h)) for h in self.plan.holes):
            return "repeats"
        return around.rpartition(".")[2] or "i" if around else "value"
