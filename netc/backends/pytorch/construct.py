"""Writes `__init__`: parameters, modules in the order of the spec, conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from netc.backends.pytorch.layout import BREAK, layout
from netc.backends.pytorch.names import TURNS, safe, statement_name
from netc.backends.pytorch.parts import (
    Branches,
    CallCtor,
    Ctor,
    Either,
    Hole,
    Maybe,
    Members,
    OpCtor,
    Repeat,
    Sequential,
    Step,
    units_of,
)
from netc.backends.pytorch.place import Placer, is_kept, placements, prefixes, tensor_kind
from netc.backends.pytorch.plan import Param, Plan
from netc.backends.pytorch.progression import collapsed
from netc.backends.pytorch.shadow import (
    MATH,
    Bin,
    Lit,
    Shadow,
    Tup,
    Var,
    folded,
    lit,
    literal,
    names,
    quoted,
    replace,
    text,
    used_functions,
)
from netc.ops.records import TorchArg

_MAKE_FIELD = re.compile(r"\{(\*?\w+)\}")


class Imports:
    """What the file imports and defines besides its classes."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.names: dict[str, set[str]] = {}
        self.helpers: dict[str, str] = {}

    def add(self, pair: str) -> None:
        """`torch.nn.functional:relu`, or a module alone."""
        module, _, name = pair.partition(":")
        if name:
            self.names.setdefault(module, set()).add(name)
        else:
            self.modules.add(module)

    def scan(self, code: str) -> None:
        """Modules that a piece of code names."""
        if "torch." in code:
            self.modules.add("torch")
        if "nn." in code:
            self.add("torch:nn")


def _imported(plan: Plan) -> Iterator[str]:
    """Functions that forward calls by name."""
    calls = [u.call.imports for u in units_of(plan.template.steps) if u.call is not None]
    for pairs in (*calls, *(form.imports for form in plan.module_forms())):
        yield from (pair.partition(":")[2] for pair in pairs)


class Constructor:
    """Writes one class's `__init__`."""

    def __init__(self, plan: Plan, imports: Imports) -> None:
        self.plan, self.imports = plan, imports
        self.placer = Placer(plan)
        self.param_names = _parameter_names(plan.params)
        self.stored: dict[str, str] = {}
        self.flags: dict[int, str] = {}
        self._name_flags(plan.template.steps)
        self._made: set[str] = set()
        self.reserved = frozenset(_imported(plan))

    def _name_flags(self, steps: list[Step]) -> None:
        taken = {p.partition(".")[0] for p in self.placer.placed} | set(self.flags.values())
        for step in steps:
            if isinstance(step, Branches):
                name = safe(f"has_{statement_name(step.path)}", taken)
                self.flags[id(step)] = name
                taken.add(name)
                self._name_flags([*step.then, *step.otherwise])

    def signature(self) -> str:
        """`self, in_channels: int, stride: int = 1`"""
        return ", ".join(("self", *map(self._parameter, self.plan.params)))

    def _parameter(self, param: Param) -> str:
        default = "" if param.default is None else f" = {literal(param.default.value)}"
        return f"{self.param_names[param.name]}: {annotation(param)}{default}"

    def lines(self) -> list[str]:
        """The whole method, indented for a class; nothing where there is nothing to construct."""
        whole = self.plan.template.whole
        if whole is not None:
            head = layout(f"def __init__({self.signature()}) -> None:", 4)
            inside = self._sequence(whole.members, {}).removeprefix("nn.Sequential")
            return [*head, *layout(f"super().__init__{inside}", 8)]
        inside = "" if self.placer.base is None else self.ctor(self.placer.base).partition("(")[2].removesuffix(")")
        body = list(self._body(self.plan.template.steps, 8))
        stored = [f"        self.{attribute} = {self.param_names[name]}" for name, attribute in self.stored.items()]
        if not body and not stored and not self.plan.params and not inside:
            return []
        head = layout(f"def __init__({self.signature()}) -> None:", 4)
        return [*head, *layout(f"super().__init__({inside})", 8), *stored, *body]

    def base(self) -> str:
        """The class this one derives from."""
        if self.plan.template.whole is not None:
            return "nn.Sequential"
        return "nn.Module" if self.placer.base is None else self.ctor(self.placer.base).partition("(")[0]

    def _body(self, steps: list[Step], indent: int) -> Iterator[str]:
        for step in steps:
            if isinstance(step, Branches):
                yield from self._branches(step, indent)
            elif step.ctor is not None and step.module and step.module not in self._made:
                yield from self._module(step.module, step.ctor, indent)

    def _branches(self, step: Branches, indent: int) -> Iterator[str]:
        flag = f"self.{self.flags[id(step)]}"
        for path in dict(placements([*step.then, *step.otherwise])):
            yield from self._containers(path, indent)
        yield from layout(f"{flag} = {self.say(self.plan.said(step.condition))}", indent)
        before = set(self._made)
        then = list(self._body(step.then, indent + 4))
        self._made, after = before, self._made
        otherwise = list(self._body(step.otherwise, indent + 4))
        self._made |= after
        pad = " " * indent
        if then:
            yield f"{pad}if {flag}:"
            yield from then
        if otherwise:
            yield f"{pad}else:" if then else f"{pad}if not {flag}:"
            yield from otherwise

    def _containers(self, path: str, indent: int) -> Iterator[str]:
        """Empty dictionaries that members are put into one by one."""
        for prefix in prefixes(path):
            if prefix not in self._made and self.placer.is_stepwise(prefix):
                self._made.add(prefix)
                yield f"{' ' * indent}{_assigned(self.placer.access(prefix), 'nn.ModuleDict()')}"

    def _module(self, path: str, ctor: Ctor, indent: int) -> Iterator[str]:
        head = path.partition(".")[0]
        if head != path and not self.placer.is_stepwise(path):
            if head not in self._made:
                self._made.add(head)
                yield from layout(_assigned(self.placer.access(head), self._container(head)), indent)
            return
        self._made.add(path)
        yield from self._containers(path, indent)
        if tensor_kind(ctor):
            yield from layout(self._tensor(path, ctor), indent)
        else:
            yield from self._assign(self.placer.access(path), ctor, indent)

    def _tensor(self, path: str, ctor: Ctor) -> str:
        """A parameter or buffer."""
        kind, name = tensor_kind(ctor), path.rpartition(".")[2]
        if kind == "parameter" and path == name and not name.isdigit():
            return f"self.{name} = {self.ctor(ctor)}"
        more = ", persistent=False" if kind == "buffer" and not is_kept(ctor) else ""
        return f"{self.placer.parent(path)}.register_{kind}({quoted(name)}, {self.ctor(ctor)}{more})"

    def _assign(self, target: str, ctor: Ctor, indent: int) -> Iterator[str]:
        if not isinstance(ctor, Either):
            yield from layout(_assigned(target, self.ctor(ctor)), indent)
            return
        pad = " " * indent
        yield f"{pad}if {self.say(self.plan.said(ctor.condition))}:"
        yield from layout(_assigned(target, self.ctor(ctor.then)), indent + 4)
        yield f"{pad}else:"
        otherwise = "nn.Identity()" if ctor.otherwise is None else self.ctor(ctor.otherwise)
        yield from layout(_assigned(target, otherwise), indent + 4)

    def _container(self, path: str) -> str:
        children = self.placer.children(path)
        members = [self._child(f"{path}.{name}") for name in children]
        force = BREAK if len(members) > 1 else ""
        if self.placer.is_list(path):
            if len(members) > 2 and len(set(members)) == 1:
                return f"nn.ModuleList({members[0]} for _ in range({len(members)}))"
            return f"nn.ModuleList([{force}{', '.join(members)}])"
        pairs = ", ".join(f"{quoted(name)}: {member}" for name, member in zip(children, members, strict=True))
        return f"nn.ModuleDict({{{force}{pairs}}})"

    def _child(self, path: str) -> str:
        self._made.add(path)
        return self.ctor(self.placer.placed[path]) if path in self.placer.placed else self._container(path)

    def ctor(self, ctor: Ctor, turns: dict[str, Shadow] | None = None) -> str:
        """The expression that makes a module; `turns` are counters already known."""
        turns = turns or {}
        match ctor:
            case OpCtor():
                return self._operator(ctor, turns)
            case CallCtor():
                return f"{ctor.plan.class_name}({', '.join(self._arguments(ctor, turns))})"
            case Sequential():
                return self._sequence(ctor.members, turns)
            case Either():
                otherwise = "nn.Identity()" if ctor.otherwise is None else self.ctor(ctor.otherwise, turns)
                return f"{self.ctor(ctor.then, turns)} if {self._value(ctor.condition, turns)} else {otherwise}"
        return ", ".join(self._member(ctor, turns))

    def _operator(self, ctor: OpCtor, turns: dict[str, Shadow]) -> str:
        if ctor.form.helper is not None:
            self.imports.helpers[ctor.form.cls] = ctor.form.helper
        for pair in ctor.form.imports:
            self.imports.add(pair)
        pairs = list(zip(ctor.form.args, ctor.holes, strict=True))
        if ctor.form.make:
            said = {a.name: self._shadow(h, turns) for a, h in pairs}
            return _MAKE_FIELD.sub(lambda m: self._made_of(m[1], said), ctor.form.make)
        shown = [self._argument(a, self._shadow(h, turns)) for a, h in pairs]
        return f"{ctor.form.cls}({', '.join(s for s in shown if s)})"

    def _made_of(self, field: str, said: dict[str, Shadow]) -> str:
        """`{shape}` as the author says it, `{*shape}` as the items of a list."""
        shadow = said[field.removeprefix("*")]
        if not field.startswith("*"):
            return self.say(shadow)
        if isinstance(shadow, Lit):
            items = shadow.value if isinstance(shadow.value, tuple) else (shadow.value,)
            return ", ".join(map(literal, items))
        if isinstance(shadow, Tup):
            return ", ".join(map(self.say, shadow.items))
        return self.say(shadow)

    def _argument(self, arg: TorchArg, shadow: Shadow) -> str:
        if arg.omit is not ... and isinstance(shadow, Lit) and shadow == lit(arg.omit):
            return ""
        return f"{arg.name}={self.say(shadow)}" if arg.keyword else self.say(shadow)

    def _arguments(self, ctor: CallCtor, turns: dict[str, Shadow]) -> Iterator[str]:
        holes = self.plan.arguments[id(ctor)]
        known = _parameter_names(ctor.plan.params)
        for param, hole in zip(ctor.plan.params, holes, strict=True):
            shadow = self._shadow(hole, turns)
            if param.default is None:
                yield self.say(shadow)
            elif shadow != param.default:
                yield f"{known[param.name]}={self.say(shadow)}"

    def _sequence(self, members: Members, turns: dict[str, Shadow]) -> str:
        shown = [(name, one) for name, ctor in members for one in self._member(ctor, turns)]
        force = BREAK if len(shown) > 1 else ""
        if all(not name or name.isdigit() for name, _ in members):
            return f"nn.Sequential({force}{', '.join(one for _, one in shown)})"
        self.imports.add("collections:OrderedDict")
        pairs = list(collapsed(shown))
        if len(pairs) == 1 and pairs[0].startswith("*("):
            return f"nn.Sequential(OrderedDict({pairs[0][2:-1]}))"
        return f"nn.Sequential(OrderedDict([{BREAK if len(pairs) > 1 else ''}{', '.join(pairs)}]))"

    def _member(self, ctor: Ctor, turns: dict[str, Shadow]) -> Iterator[str]:
        match ctor:
            case Repeat():
                yield from self._repeat(ctor, turns)
            case Maybe():
                yield self._maybe(ctor, turns)
            case _:
                yield self.ctor(ctor, turns)

    def _maybe(self, ctor: Maybe, turns: dict[str, Shadow]) -> str:
        sides = [[one for _, c in side for one in self._member(c, turns)] for side in (ctor.then, ctor.otherwise)]
        condition = self._value(ctor.condition, turns)
        if all(len(side) == 1 and not side[0].startswith("*") for side in sides):
            return f"{sides[0][0]} if {condition} else {sides[1][0]}"
        then, otherwise = (", ".join(side) for side in sides)
        return f"*([{then}] if {condition} else [{otherwise}])"

    def _repeat(self, ctor: Repeat, turns: dict[str, Shadow]) -> Iterator[str]:
        count = self._shadow(ctor.count, turns)
        if ctor.first is not None:
            yield self.ctor(ctor.first, turns)
            count = folded(Bin("-", count, lit(1)))
        name = f"%turn{_depth(ctor.element, self)}"
        if count == lit(1):
            yield self.ctor(ctor.element, {**turns, name: lit(0)})
            return
        element = self.ctor(ctor.element, turns)
        counter = self._counter(name) if self._uses(ctor.element, name) else "_"
        yield f"*({element} for {counter} in range({self.say(count)}))"

    def _uses(self, ctor: Ctor, name: str) -> bool:
        return any(name in names(self.plan.said(hole)) for hole in self._holes(ctor))

    def _holes(self, ctor: Ctor) -> Iterator[Hole]:
        return self.plan.holes(ctor)

    def _shadow(self, hole: Hole, turns: dict[str, Shadow]) -> Shadow:
        shadow = self.plan.said(hole)
        return replace(shadow, lambda n: turns.get(n, Var(n))) or shadow if turns else shadow

    def _value(self, hole: Hole, turns: dict[str, Shadow]) -> str:
        return self.say(self._shadow(hole, turns))

    def say(self, shadow: Shadow) -> str:
        """An expression in `__init__`."""
        self._import_functions(shadow)
        return text(shadow, lambda n: self._counter(n) if n.startswith("%turn") else self.param_names[n])

    def say_stored(self, shadow: Shadow) -> str:
        """An expression in `forward`: constructor parameters are kept as attributes."""
        self._import_functions(shadow)
        return text(shadow, self._stored)

    def _stored(self, name: str) -> str:
        if name not in self.stored:
            taken = {p.partition(".")[0] for p in self.placer.placed} | set(self.flags.values())
            attribute = self.param_names[name]
            while attribute in taken:
                attribute += "_"
            self.stored[name] = attribute
        return f"self.{self.stored[name]}"

    def _counter(self, turn: str) -> str:
        """The variable of a comprehension: none that is a parameter."""
        free = [name for name in TURNS if name not in self.param_names.values()]
        return str(free[int(turn.removeprefix("%turn"))])

    def _import_functions(self, shadow: Shadow) -> None:
        for function in used_functions(shadow):
            if function in MATH:
                self.imports.add("math")
            elif function == "make_divisible":
                self.imports.helpers[function] = MAKE_DIVISIBLE


MAKE_DIVISIBLE = '''def make_divisible(value: float, divisor: int = 8, least: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, never more than 10 % below it."""
    floor = divisor if least is None else least
    near = max(floor, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near'''


def _assigned(target: str, value: str) -> str:
    """An assignment; a number is no attribute."""
    if target.startswith("self.get_submodule(") and target.endswith('")'):
        return f"self.add_module({target[len('self.get_submodule(') : -1]}, {value})"
    return f"{target} = {value}"


def _depth(ctor: Ctor, constructor: Constructor) -> int:
    """How many repeats stand around this one: its counter's number."""
    for hole in constructor.plan.holes(ctor):
        return len(hole.seen[0][0].turns) - 1
    return 0


def _parameter_names(params: list[Param]) -> dict[str, str]:
    found: dict[str, str] = {}
    for param in params:
        found[param.name] = safe(param.name, set(found.values()))
    return found


def annotation(param: Param) -> str:
    """The types of a parameter's values."""
    values = [*param.values.values(), *([] if param.default is None else [param.default.value])]
    kinds = dict.fromkeys(map(_kind, values))
    if "float" in kinds:
        kinds.pop("int", None)
    return " | ".join(sorted(kinds, key=lambda kind: kind == "None"))


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        inner = " | ".join(dict.fromkeys(map(_kind, value))) or "int"
        return f"tuple[{inner}, ...]"
    return "None" if value is None else type(value).__name__
