"""Random specs, valid by construction: blocks with arguments, chains, repeats, loops, conditions, joins."""

from __future__ import annotations

from random import Random


class _Body:
    """The statements of one block; `loose` are tensors nobody has read yet, `sizes` channel expressions."""

    def __init__(self, random: Random, sizes: list[str], blocks: list[tuple[str, list[str]]], args: list[str]) -> None:
        self.random, self.sizes, self.blocks, self.args = random, sizes, blocks, args
        self.lines: list[str] = []
        self.tensors = ["in"]
        self.loose: list[str] = []
        self.count = 0

    def size(self) -> str:
        return self.random.choice(self.sizes)

    def read(self) -> str:
        tensor = self.random.choice([*self.tensors, *self.tensors[-2:], *self.tensors[-1:]])
        if tensor in self.loose:
            self.loose.remove(tensor)
        return tensor

    def add(self, text: str, name: str | None = None) -> None:
        self.count += 1
        name = name or f"s{self.count}"
        self.lines.append(f"{name}: {text}")
        self.tensors.append(name.replace("$i", "2"))
        self.loose.append(name.replace("$i", "2"))

    def conv(self, tensor: str = "") -> str:
        kernel = self.random.choice(["1", "3", "3"])
        stop = "" if not tensor else f" @{tensor}"
        bias = self.random.choice(["", "", " bias=false"])
        return f"conv2d {self.size()} {kernel} padding={kernel}//2{bias}{stop}"

    def light(self) -> str:
        return self.random.choice(["relu", "batch_norm2d", "sigmoid", "tanh", "identity", "relu6"])

    def call(self, tensor: str) -> str | None:
        if not self.blocks:
            return None
        name, args = self.random.choice(self.blocks)
        given = []
        for arg in args:
            if self.random.random() < 0.75:
                choices = {"n": ["1", "2", "3"], "flag": ["0", "1"]}.get(arg, self.sizes)
                if arg in self.args:
                    choices = [*choices, arg]
                given.append(f"{arg}={self.random.choice(choices)}")
        return f"{name} {' '.join(given)} @{tensor}"

    def statement(self) -> None:
        lines = (self._line, self._chain, self._repeat, self._spliced, self._loop, self._template, self._double_loop)
        choices = (self._if_pass, self._if_else, self._if_add, self._optional_member, self._nested_if)
        joins = (self._join, self._residual, self._call, self._call, self._nested, self._pair, self._short, self._short)
        kinds = (*lines, *choices, *joins)
        self.random.choice(kinds)()

    def _line(self) -> None:
        tensor = self.read()
        self.add(f'"{self.random.choice([self.conv(tensor), self.light() + f" @{tensor}"])}"')

    def _members(self, tensor: str) -> str:
        rest = [self.random.choice([self.conv(), self.light(), self.light()]) for _ in range(self.random.randint(0, 3))]
        return ", ".join(f'"{m}"' for m in [self.conv(tensor), *rest])

    def _chain(self) -> None:
        self.add(f"[{self._members(self.read())}]")

    def _repeats(self) -> str:
        return f"x({self.random.choice(['n', '2', '3', 'n+1'] if 'n' in self.args else ['2', '3'])})"

    def _repeat(self) -> None:
        tensor = self.read()
        call = self.call(tensor) if self.random.random() < 0.6 else None
        self.add(f'"{call or self.conv(tensor)} {self._repeats()}"')

    def _spliced(self) -> None:
        self.add(f'["{self.conv(self.read())}", "conv2d {self.size()} 1 {self._repeats()}", "{self.light()}"]')

    def _condition(self) -> str:
        own = ["flag == 1", "flag != 1 and n > 1"] if {"flag", "n"} <= set(self.args) else []
        return self.random.choice([*own, *own, f"in.C < {self.size()}", f"{self.size()} > 4", f"in.C != {self.size()}"])

    def _optional_member(self) -> None:
        member = f'{{if: "{self._condition()}", do: "conv2d {self.size()} 1"}}'
        self.add(f'["{self.conv(self.read())}", {member}, "{self.conv()}"]')

    def _if_pass(self) -> None:
        tensor = self.read()
        do = f"[conv2d {{c}} 1 @{tensor}, batch_norm2d]".format(c=self.random.choice(["x.C", self.size()]))
        self.add(f'{{if: "{self._condition()}", do: {do}, else: "@{tensor}"}}')

    def _if_else(self) -> None:
        tensor = self.read()
        self.add(f'{{if: "{self._condition()}", do: "{self.conv(tensor)}", else: "{self.conv(tensor)}"}}')

    def _if_add(self) -> None:
        a = self.read()
        self.add(f'"conv2d {a}.C 1 @{a}"')
        made = self.tensors[-1]
        self.loose.remove(made)
        side = self.random.choice(
            [f'"@{made}"', f'"@{a}"', f'"mul @{a} @{made}"', f'["{self.conv(made)}", "{self.light()}"]']
        )
        self.add(f'{{if: "{self._condition()}", do: "add @{a} @{made}", else: {side}}}')
        self._keep(made)
        self._keep(a)

    def _keep(self, tensor: str) -> None:
        """A tensor that only one branch may have read must be read elsewhere too."""
        if tensor not in self.loose and tensor != "in":
            self.loose.append(tensor)

    def _loop(self) -> None:
        tensor = self.read()
        size, step = self.size(), self.random.choice(["i", "2*i", "1"])
        self.add(f'"{self.conv(tensor)}"')
        before = self.read_last()
        ends = self.random.choice(["3", "n"] if "n" in self.args else ["3", "4"])
        self.add(f'{{for: {{i: "1..{ends}"}}, do: "conv2d {size}+{step} 1"}}' if before is None else
                 f'[{self.light()} @{before}, {{for: {{i: "1..{ends}"}}, do: "conv2d {size}+{step} 1"}}]')  # fmt: skip

    def _double_loop(self) -> None:
        """A chain that repeats a chain that repeats."""
        tensor, size = self.read(), self.size()
        ends = self.random.choice(["n", "n+1", "2"]) if "n" in self.args else self.random.choice(["2", "3"])
        inner = f'{{for: {{j: "1..{self.random.choice(["2", "3", "i"])}"}}, do: "conv2d {size}+{{step}} 1"}}'
        member = inner.replace("{step}", self.random.choice(["j", "i", "1"]))
        extra = self.random.choice(["", f', "{self.light()}"'])
        self.add(f'["{self.conv(tensor)}", {{for: {{i: "1..{ends}"}}, do: [{member}{extra}]}}]')

    def _nested_if(self) -> None:
        tensor = self.read()
        inner = f'{{if: "{self._condition()}", do: [conv2d x.C 1 @{tensor}, tanh], else: "@{tensor}"}}'
        side = self.random.choice([f'"{self.conv(tensor)}"', f'"@{tensor}"'])
        self.add(f'{{if: "{self._condition()}", do: {inner}, else: {side}}}')

    def _pair(self) -> None:
        """A block of two inputs and two outputs."""
        a, b = self.read(), self.read()
        self.add(f'"pair c={self.size()} @{a} @{b}"')
        made = self.tensors.pop()
        self.loose.remove(made)
        for port in ("one", "two"):
            self.tensors.append(f"{made}.{port}")
            self.loose.append(f"{made}.{port}")

    def _short(self) -> None:
        """A block whose body has no names."""
        name = self.random.choice(["line", "chain", "looped", "either", "repeated", "called", "nested", "optional"])
        times = self.random.choice(["", "", " x2"])
        self.add(f'"{name} {self.size()} @{self.read()}{times}"')

    def read_last(self) -> str:
        last = self.tensors[-1]
        self.loose.remove(last)
        return last

    def _template(self) -> None:
        tensor = self.read()
        self.count += 1
        stem = f"t{self.count}_"
        self.add(f'{{for: {{i: 1..2}}, do: "conv2d {self.size()}+i 1 @{tensor}"}}', f"{stem}$i")
        self.tensors.append(f"{stem}1")
        self.loose.append(f"{stem}1")

    def _join(self) -> None:
        parts = list(dict.fromkeys(self.read() for _ in range(self.random.randint(2, 3))))
        if len(parts) > 1:
            self.add(f'"concat {" ".join(f"@{p}" for p in parts)}"')
        else:
            self.add(f'"relu @{parts[0]}"')

    def _residual(self) -> None:
        tensor = self.read()
        self.add(f'["{self.conv(tensor)}", "conv2d {tensor}.C 3 padding=1"]')
        self.add(f'[add @{tensor} @{self.read_last()}, "{self.light()}"]')

    def _call(self) -> None:
        text = self.call(self.read())
        self.add(f'"{text or self.conv(self.read())}"')

    def _nested(self) -> None:
        inner = f'a: "{self.conv(self.read())}", b: "{self.conv()}"'
        form = self.random.random()
        if form < 0.4:
            inner = f'a: "{self.conv(self.read())}", b: "{self.conv("a")}", c: "concat @a @b"'
        elif form < 0.8:
            branch = f'{{if: "{self._condition()}", do: [conv2d {self.size()} 1 @a, relu], else: "@a"}}'
            other = f'{{if: "{self._condition()}", do: "{self.conv("b")}", else: "mul @b @b"}}'
            inner = f'a: "{self.conv(self.read())}", b: {branch}, c: {other}'
        self.add(f"{{do: {{{inner}}}}}")

    def close(self) -> None:
        """Read what nobody has read."""
        loose = [t for t in dict.fromkeys(self.loose) if t != "in"] or ["in"]
        self.lines.append(
            f"last: concat {' '.join('@' + t for t in loose)}" if len(loose) > 1 else f"last: relu @{loose[0]}"
        )


PAIR = (
    "  pair:",
    "    args: c=base",
    "    inputs: [top, lateral]",
    "    net: {a: conv2d c 1 @top, b: conv2d top.C+c 1 @lateral, d: add @a @a, e: concat @top @b}",
    "    outputs: {one: d, two: e}",
    "  line: {args: c, net: conv2d c 3 padding=1}",
    "  chain: {args: c k=1, net: [conv2d c k padding=k//2, batch_norm2d, relu]}",
    "  looped: {args: c, net: {for: {i: 1..3}, do: conv2d c+i 1}}",
    "  either: {args: c, net: {if: in.C > c, do: conv2d c 1, else: conv2d c 3 padding=1}}",
    "  repeated: {args: c, net: conv2d c 3 padding=1 x(2)}",
    "  called: {args: c, net: chain c 3}",
    "  nested: {args: c, net: [called c, [relu, line c], {do: {a: conv2d c 1, b: tanh}}]}",
    "  optional: {args: c, net: [{if: in.C > c, do: conv2d c 1}, relu, {if: c > 3, do: [conv2d c+1 1, tanh]}]}",
)


def random_spec(seed: int) -> str:
    """One spec as YAML text; equal seeds give equal specs."""
    random = Random(seed)
    blocks: list[tuple[str, list[str]]] = []
    text = ["netc: 1", "name: randomised", f"args: {{base: {random.randint(2, 5)}, classes: 7, deep: 2}}"]
    text.append(f"inputs: {{image: [N, {random.randint(1, 4)}, 4*h, 4*w]}}")
    body: list[str] = []
    for i in range(random.randint(0, 3)):
        args = ["width", "n", "flag"][: random.randint(1, 3)]
        sizes = ["width", "2*width", "in.C", "in.C+width", "base", "3", "width*base", "2*(width+1)"]
        block = _Body(random, sizes, blocks[:], args)
        for _ in range(random.randint(1, 5)):
            block.statement()
        block.close()
        defaults = {"width": random.choice(["width=3", "width=base", "width=4"]), "n": "n=2", "flag": "flag=1"}
        body.append(f"  block{i}:")
        body.append(f"    args: {' '.join(defaults[a] for a in args)}")
        body.append("    net:")
        body.extend(f"      {line}" for line in block.lines)
        blocks.append((f"block{i}", args))
    main = _Body(random, ["base", "2*base", "3", "4", "base+1"], blocks, [])
    for _ in range(random.randint(2, 6)):
        if blocks and random.random() < 0.5:
            main._call()
        main.statement()
    main.close()
    net = [f"  {line}" for line in main.lines]
    text.extend(["blocks:", *PAIR, *body])
    text.extend(["net:", *net, "  pool: adaptive_avg_pool2d 1", "  flat: flatten", "  fc: linear classes"])
    return "\n".join([*text, "outputs: {logits: fc}", ""])
