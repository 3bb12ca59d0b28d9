"""Random expressions and statements over them: what the bodies of random specs are made of."""

from __future__ import annotations

import builtins
import keyword
from random import Random
from typing import Any

from torch import nn

from netc.syntax.names import Role, objection

ACTIVATIONS = ("relu", "tanh", "sigmoid", "silu", "identity", "leaky_relu 0.2")
CODE = ("F", "NamedTuple", "Callable", "Sequence", "relu", "tanh", "silu", "leaky_relu", "partial", "cat", "functional")
NEAR = ("layers", "result", "out", "i", "j", "k", "n", "in_channels", "height", "kwargs", "args", "name", "module")
ODD = tuple(dict.fromkeys((*CODE, *NEAR, *dir(builtins), *keyword.kwlist, *keyword.softkwlist, *dir(nn.Module()))))
"""Names that mean something in generated code or to `nn.Module`."""


class Names:
    """Words for everything in a spec; one in eight is odd."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.odd = [*ODD]

    def draw(self, role: Role, usual: str, taken: set[str]) -> str:
        """One that is allowed in this role and not yet taken; it is taken then."""
        word = usual
        if self.random.random() < 0.12:
            word = self.random.choice(self.odd)
            if word in taken or objection(word, role) is not None:
                word = usual
        stem, count = word, 1
        while word in taken or objection(word, role) is not None:
            count += 1
            word = f"{stem}_{count}"
        taken.add(word)
        return word


class Scope:
    """What expressions may name, by kind: numbers from 1 on, fractions, truths, lists of such numbers, operators."""

    def __init__(self, random: Random, outer: Scope | None = None) -> None:
        self.random = random
        self.counts: list[str] = [*outer.counts] if outer else []
        self.fractions: list[str] = [*outer.fractions] if outer else []
        self.truths: list[str] = [*outer.truths] if outer else []
        self.lists: list[str] = [*outer.lists] if outer else []
        self.operators: list[str] = [*outer.operators] if outer else []
        self.optional: list[str] = [*outer.optional] if outer else []
        self.turns: list[str] = [*outer.turns] if outer else []

    def add(self, name: str, kind: str) -> None:
        getattr(self, kind).append(name)

    def atom(self) -> str:
        r = self.random
        if r.random() < 0.25 or not self.counts:
            return str(r.randint(1, 5))
        if self.lists and r.random() < 0.2:
            name = r.choice(self.lists)
            return r.choice([f"{name}[0]", f"len({name})", f"sum({name})", f"{name}[-1]"])
        if self.optional and r.random() < 0.1:
            name = r.choice(self.optional)
            return f"(3 if {name} == none else {name})"
        return r.choice([*self.counts, *self.counts[-2:]])

    def count(self, depth: int = 2) -> str:
        """A whole number from 1 on, in parentheses where it is more than a word."""
        r = self.random
        if depth == 0 or r.random() < 0.3:
            return self.atom()
        a, b = self.count(depth - 1), self.count(depth - 1)
        forms = (
            f"({a} + {b})", f"({a} * {b})", f"({a} + {b} * 2)", f"(({a} + {b}) * 2)", f"({a} // {b} + 1)",
            f"({a} * {b} // {b})", f"({a} * {b} / {b})", f"({a} % {b} + 1)", f"(2 ** ({a} % 3))",
            f"(({a} + 1) ** 2 % 7 + 1)",
            f"(-(-{a}))", f"({a} - -{b})", f"({a} + {b} - {b})", f"({a} + ({b} - 1))", f"({a} + 2 - ({b} - ({b} - 1)))",
            f"({a} * ({b} % 3 + 1))", f"(12 // ({a} % 4 + 1))", f"({a} if {a} > {b} else {b})", f"max({a}, {b})",
            f"min({a}, {b})", f"(abs({a} - {b}) + 1)", f"ceil({a} / {b})", f"make_divisible({a}, 4)",
            f"({a} * 3 % 8 // 2 + 1)",
        )  # fmt: skip
        return r.choice(forms)

    def number(self, depth: int = 2) -> str:
        """Any number."""
        r = self.random
        if depth == 0 or r.random() < 0.25:
            return r.choice([self.atom(), *self.fractions, "0.5", self.atom()])
        a, b, c = self.number(depth - 1), self.number(depth - 1), self.count(1)
        forms = (
            f"({a} + {b})", f"({a} - {b})", f"({a} - ({b} - {c}))", f"({a} * {b})", f"({a} / {c})",
            f"({a} / ({c} * 2))",
            f"({c} // ({c} + 1))", f"({a} % {c})", f"(-{a})", f"(-{a} ** 2)", f"((-{a}) ** 2)", f"({c} ** -1)",
            f"({a} * -{b})", f"({a} - -{b})", f"({a} * ({b} + {c}))", f"({c} % ({c} * {c}))", f"(-{c} // 2)",
            f"(-({c} // 2))",
        )  # fmt: skip
        return r.choice(forms)

    def truth(self) -> str:
        r, a, b = self.random, self.count(1), self.count(1)
        forms = [f"{a} > {b}", f"{a} != {b}", f"{a} % 2 == 0", f"{a} == 1", f"{a} < 2 and {b} > 1", f"not {a} >= {b}"]
        forms += [*self.truths, *(f"not {name}" for name in self.truths)]
        return r.choice([*forms, *(f"{name} == none" for name in self.optional)])


class Block:
    """What a body may call: its name and the kinds of its arguments."""

    def __init__(self, name: str, args: dict[str, str], ports: int = 1) -> None:
        self.name, self.args, self.ports = name, args, ports


class Body:
    """The statements of one block; `loose` are tensors that nobody has read for sure."""

    def __init__(self, names: Names, scope: Scope, taken: set[str], blocks: list[Block], inputs: list[str]) -> None:
        self.names, self.random, self.scope, self.taken, self.blocks = names, names.random, scope, taken, blocks
        self.net: dict[str, Any] = {}
        self.tensors, self.loose = [*inputs], [name for name in inputs if name != "in"]
        self.scope.counts = [*scope.counts, f"{inputs[0]}.C"]

    def read(self) -> str:
        tensor = self.random.choice([*self.tensors, *self.tensors[-2:], self.tensors[-1]])
        self.loose = [t for t in self.loose if t != tensor]
        return tensor

    def glance(self) -> str:
        """One that may not be read in the end."""
        return self.random.choice(self.tensors[-4:])

    def keep(self, tensor: str) -> None:
        self.tensors.append(tensor)
        self.loose.append(tensor)

    def name(self, usual: str = "") -> str:
        return self.names.draw("statement", usual or self.random.choice(["s", "conv", "out", "x_", "skip"]), self.taken)

    def hide(self, tensor: str) -> None:
        """The next statement reads it without saying so, and no other may."""
        self.tensors.remove(tensor)
        self.loose.remove(tensor)

    def put(self, statement: Any, usual: str = "") -> str:
        name = self.name(usual)
        self.net[name] = statement
        self.keep(name)
        return name

    def conv(self, tensor: str = "", scope: Scope | None = None) -> str:
        scope, r = scope or self.scope, self.random
        kernel = r.choice(["1", "3 padding=1", "1", "(2*1 + 1) padding=1"])
        bias = r.choice(["", "", "bias=false", *(f"bias={name}" for name in scope.truths)])
        return " ".join(filter(None, ("conv2d", scope.count(), kernel, bias, f"@{tensor}" if tensor else "")))

    def light(self, scope: Scope | None = None) -> str:
        scope, r = scope or self.scope, self.random
        own = [*scope.operators, *scope.operators]
        forms = [*ACTIVATIONS, "batch_norm2d", f"leaky_relu {scope.number(1)}", "dropout 0.5", *own]
        return r.choice([*forms, f"mul {scope.number()}", f"add {scope.number()}", "conv2d x.C 3 padding=1 groups=x.C"])

    def chain(self, tensor: str, scope: Scope | None = None) -> list[Any]:
        scope, r = scope or self.scope, self.random
        members: list[Any] = [self.conv(tensor, scope)]
        for _ in range(r.randint(0, 3)):
            kind = r.random()
            if kind < 0.45:
                members.append(self.light(scope))
            elif kind < 0.6:
                members.append(self.conv("", scope))
            elif kind < 0.75:
                members.append(
                    {"if": scope.truth(), "do": r.choice([self.conv("", scope), [self.conv("", scope), "relu"]])}
                )
            elif kind < 0.85:
                members.append(f"{self.conv('', scope)} x({self.times(scope)})")
            else:
                members.append(self.unnamed(scope, 2))
        return members

    def times(self, scope: Scope) -> str:
        return f"{scope.atom()} % 3 + {self.random.choice('01')}"

    def variable(self, inner: Scope, usual: str, first: int = 1) -> str:
        """A name of a loop's turn, which expressions of `inner` use then."""
        name = self.names.draw("loop variable", usual, {*self.taken, *inner.turns})
        inner.turns = [*inner.turns, name]
        inner.counts = [*inner.counts, name if first else f"({name} + 1)"]
        return name

    def turns(self, scope: Scope, inner: Scope) -> dict[str, Any]:
        """The `for` of a loop without a name."""
        r = self.random
        name = self.variable(inner, r.choice("ijkn"))
        if r.random() < 0.15:
            rows = [[r.randint(1, 4), r.randint(1, 4)] for _ in range(r.randint(1, 3))]
            return {f"{name} {self.variable(inner, 'width')}": rows}
        ends = f"{scope.atom()} % 3 + 1"
        return {name: r.choice([f"1..{ends}", "1..3", "2..3", [3, 1], f"range({ends}, 0, -1)", *scope.lists])}

    def unnamed(self, scope: Scope, depth: int) -> dict[str, Any]:
        inner = Scope(self.random, scope)
        turns = self.turns(scope, inner)
        member: Any = self.conv("", inner)
        if depth > 1 and self.random.random() < 0.5:
            member = [self.unnamed(inner, depth - 1), self.random.choice(["relu", self.light(inner)])]
        elif self.random.random() < 0.4:
            member = [member, self.light(inner)]
        return {"for": turns, "do": member}

    def given(self, block: Block, scope: Scope) -> str:
        return " ".join(f"{name}={self.argument(kind, scope)}" for name, kind in block.args.items() if self.chance(0.7))

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def argument(self, kind: str, scope: Scope) -> str:
        r = self.random
        plain = {
            "counts": scope.count,
            "fractions": scope.number,
            "truths": lambda: r.choice(["true", "false", f"({scope.truth()})"]),
            "lists": lambda: r.choice([f"({scope.atom()} 2)", "(1 3 2)", *scope.lists]),
            "operators": lambda: r.choice(
                ["relu", "tanh", "none", '"leaky_relu 0.2"', '"batch_norm2d eps=0.01"', *scope.operators]
            ),
            "optional": lambda: r.choice(["none", "4", scope.atom(), *scope.optional]),
        }
        return str(plain[kind]())

    def call(self, tensor: str, scope: Scope | None = None) -> str:
        scope = scope or self.scope
        usable = [block for block in self.blocks if block.ports == 1]
        if not usable:
            return self.conv(tensor, scope)
        block = self.random.choice([*usable, *usable[-2:]])
        return " ".join(filter(None, (block.name, self.given(block, scope), f"@{tensor}" if tensor else "")))

    def statement(self) -> None:
        plain = (self._line, self._chain, self._call, self._call, self._repeat, self._tap)
        loops = (self._unnamed, self._named, self._named, self._parallel, self._residual_loop, self._deep)
        joins = (
            self._branch,
            self._branch,
            self._pass,
            self._join,
            self._residual,
            self._nested,
            self._pair,
            self._learned,
        )
        rare = (self._cast,) if self.chance(0.2) else (self._resized,)
        self.random.choice((*plain, *loops, *joins, *rare))()

    def _line(self) -> None:
        tensor = self.read()
        self.put(
            self.random.choice(
                [self.conv(tensor), f"{self.light().split(' x(')[0].replace('x.C', tensor + '.C')} @{tensor}"]
            )
        )

    def _chain(self) -> None:
        self.put(self.chain(self.read()))

    def _call(self) -> None:
        self.put(self.call(self.read()))

    def _repeat(self) -> None:
        tensor = self.read()
        self.put(f"{self.random.choice([self.call, self.conv])(tensor)} x({self.times(self.scope)})")

    def _tap(self) -> None:
        name = self.put([self.conv(self.read()), self.random.choice(ACTIVATIONS), self.conv(), "relu", self.conv()])
        for place in self.random.sample(range(5), self.random.randint(1, 2)):
            self.keep(f"{name}.{place}")

    def _unnamed(self) -> None:
        self.put([f"{self.random.choice(['relu', 'tanh'])} @{self.read()}", self.unnamed(self.scope, 2)])

    def _named(self) -> None:
        """A loop that makes statements one after another."""
        self.hide(self.put(self.conv(self.read()), "before"))
        inner = Scope(self.random, self.scope)
        ends = self.random.choice([(1, "3"), (1, "2"), (1, f"{self.scope.atom()} % 3 + 1"), (0, "2"), (2, "3")])
        variable = self.variable(inner, self.random.choice("ijkn"), ends[0])
        inner.add("x.C", "counts")
        form = self.random.random()
        body: Any = self.conv("", inner) if form < 0.5 else self.call("", inner)
        if form > 0.8:
            body = [self.conv("", inner), self.unnamed(inner, 1), self.light(inner)]
        name = self.name("u")
        self.net[f"{name}${variable}"] = {"for": {variable: f"{ends[0]}..{ends[1]}"}, "do": body}
        self.net[after := self.name("after")] = self.random.choice(["relu", "tanh", "conv2d 3 1"])
        self.keep(after)

    def _parallel(self) -> None:
        """A loop whose statements all read one tensor, and what joins them."""
        tensor, inner, name = self.read(), Scope(self.random, self.scope), self.name("p")
        first, last = self.random.choice([(1, 3), (2, 4), (0, 1)])
        variable = self.variable(inner, self.random.choice("ijk"), first)
        body = self.random.choice([self.conv(tensor, inner), self.call(tensor, inner), self.chain(tensor, inner)])
        self.net[f"{name}${variable}"] = {"for": {variable: f"{first}..{last}"}, "do": body}
        self.put(f"concat @{name}$({first}..{last})")

    def _residual_loop(self) -> None:
        name, inner = self.name("r"), Scope(self.random, self.scope)
        variable = self.variable(inner, self.random.choice("ijk"))
        self.net[f"{name}0"] = self.conv(self.read())
        self.net[f"{name}${variable}"] = {"for": {variable: "1..3"}, "do": self.call(f"{name}$({variable}-1)", inner)}
        self.keep(f"{name}3")

    def _deep(self) -> None:
        """Named loops in one another."""
        tensor, name = self.read(), self.name("d")
        outer = Scope(self.random, self.scope)
        i = self.variable(outer, "i")
        inner = Scope(self.random, outer)
        j = self.variable(inner, "j")
        ends = self.random.choice(["1..2", f"1..{i}", f"1..{self.scope.atom()} % 2 + 1"])
        part = {"a": self.conv(tensor, outer), f"b${j}": {"for": {j: ends}, "do": self.conv("", inner)}, "c": "relu"}
        self.net[f"{name}${i}"] = {"for": {i: "1..2"}, "do": part}
        self.put(f"concat @{name}1 @{name}2")

    def _branch(self) -> None:
        a, b = self.glance(), self.glance()
        sides = (
            lambda t: self.conv(t),
            lambda t: f"@{t}",
            lambda t: self.call(t),
            lambda t: self.chain(t),
            lambda t: {"if": self.scope.truth(), "do": self.conv(t), "else": f"@{t}"},
        )
        self.put({"if": self.scope.truth(), "do": self.random.choice(sides)(a), "else": self.random.choice(sides)(b)})

    def _pass(self) -> None:
        self.hide(self.put(self.conv(self.read())))
        name = self.name("maybe")
        self.net[name] = {
            "if": self.scope.truth(),
            "do": self.random.choice([self.conv(), self.call(""), [self.conv(), "relu"]]),
        }
        self.keep(name)

    def _join(self) -> None:
        parts = list(dict.fromkeys(self.read() for _ in range(3)))
        self.put(f"concat {' '.join('@' + p for p in parts)}" if len(parts) > 1 else f"relu @{parts[0]}")

    def _residual(self) -> None:
        tensor = self.read()
        branch = self.put([self.conv(tensor), self.light(), f"conv2d {tensor}.C 1"])
        self.loose.remove(branch)
        self.put([f"add @{branch} @{tensor}", self.random.choice(["relu", *self.scope.operators])])

    def _nested(self) -> None:
        tensor = self.read()
        last = self.random.choice(["concat @a @b", "mul @b @b @a".replace(" @a", ""), "concat @b @a"])
        inner = {"a": self.conv(tensor), "b": self.random.choice([self.conv("a"), self.call("a")]), "c": last}
        self.put({"do": inner} if "@a" in last else {"do": {**inner, "c": "concat @a @b"}})

    def _pair(self) -> None:
        pairs = [block for block in self.blocks if block.ports == 2]
        if pairs:
            block = self.random.choice(pairs)
            name = self.put(f"{block.name} {self.given(block, self.scope)} @{self.read()} @{self.read()}")
            self.hide(name)
            self.keep(f"{name}.one")
            self.keep(f"{name}.two")

    def _learned(self) -> None:
        """A parameter or a constant beside a tensor."""
        tensor, name = self.read(), self.name("weight")
        self.net[name] = self.random.choice([f"parameter ({tensor}.C 1 1)", "constant (0.5) shape=(1 1 1)"])
        self.put(f"{self.random.choice(['mul', 'add'])} @{tensor} @{name}")

    def short(self) -> Any:
        """A whole body without names."""
        sides = {"if": self.scope.truth(), "do": self.conv(), "else": self.random.choice([self.conv(), self.light()])}
        loop = self.unnamed(self.scope, 2)
        forms = (
            self.conv(),
            self.call(""),
            f"{self.call('')} x({self.times(self.scope)})",
            loop,
            sides,
            self.chain(""),
        )
        return self.random.choice(forms)

    def _cast(self) -> None:
        """A layer in another type."""
        self.put([f"cast float64 @{self.read()}", self.conv(), "cast float32"])

    def _resized(self) -> None:
        """Halved and brought back to the size of another tensor."""
        tensor = self.read()
        self.put([f"max_pool2d 2 @{tensor}", self.conv(), f"interpolate like=@{tensor} mode=nearest"])

    def close(self, last: str = "last") -> str:
        """Read what nobody has read; the name of what is made."""
        loose = list(dict.fromkeys(self.loose)) or [self.tensors[-1]]
        name = self.name(last)
        self.net[name] = f"concat {' '.join('@' + t for t in loose)}" if len(loose) > 1 else f"relu @{loose[0]}"
        return name
