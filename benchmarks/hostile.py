"""Specs that ask for too much work, each in a way of its own; `size` says how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable

HEAD = "netc: 1\nname: hostile\ninputs: {image: [N, 3, H, W]}\n"
FIXED = "netc: 1\nname: hostile\ninputs: {image: [N, 3, 8, 8]}\n"
CASES: dict[str, Callable[[int], str]] = {}


def _case(make: Callable[[int], str]) -> Callable[[int], str]:
    CASES[make.__name__] = make
    return make


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"  {text}\n" for text in texts)


def _net(size: int, line: str, head: str = HEAD) -> str:
    return f"{head}net:\n{_lines(line.format(i=i) for i in range(size))}"


def _lets(size: int, value: str, lists: str = "") -> str:
    return f"{HEAD}let:\n{lists}{_lines(f'v{i}: {value}'.format(i=i) for i in range(size))}net: relu\n"


@_case
def sums(size: int) -> str:
    return _lets(size, "sum(range(9999))")


@_case
def extremes(size: int) -> str:
    return _lets(size, "max(range(9999))")


@_case
def comprehensions(size: int) -> str:
    return _lets(size, "'[i*i+{i} for i in range(999)]'")


@_case
def lists_made(size: int) -> str:
    return _lets(size, "(1 2 3)*3333")


@_case
def lists_compared(size: int) -> str:
    return _lets(size, "a == b", "  a: range(9999)\n  b: range(9999)\n")


@_case
def lists_searched(size: int) -> str:
    return _lets(size, "-1 in a", "  a: range(9999)\n")


@_case
def lists_cut(size: int) -> str:
    return _lets(size, "a[0:9998]", "  a: range(9999)\n")


@_case
def lists_looped_over(size: int) -> str:
    loop = f"  a$i: {{for: {{i: 1..{size}}}, do: {{for: {{j: v}}, do: relu}}}}\n"
    return f"{HEAD}let: {{v: [range(9990)]}}\nnet:\n{loop}"


@_case
def lists_as_arguments(size: int) -> str:
    return _net(size, "c{i}: b v", f"{HEAD}let: {{v: range(9990)}}\nblocks: {{b: {{args: w, net: relu}}}}\n")


@_case
def lists_as_attributes(size: int) -> str:
    return _net(size, "c{i}: constant v", f"{HEAD}let: {{v: range(9990)}}\n")


@_case
def sizes_compared(size: int) -> str:
    checks = (f'"in.H//61*61 - in.W//67 + in.N*in.W + {i} > 3"' for i in range(size))
    return f"{HEAD}checks: [{', '.join(checks)}]\nnet: relu\n"


@_case
def sizes_added(size: int) -> str:
    lines = (
        f"a{i}: conv2d 8 {3 + i} stride={7 + i} padding={i} @image\n"
        f"  b{i}: conv2d 8 {4 + i} stride={7 + i} padding={i} @image\n  c{i}: add @a{i} @b{i}"
        for i in range(size)
    )
    return f"{HEAD}net:\n{_lines(lines)}"


@_case
def globs_of_init(size: int) -> str:
    rules = _lines(f'"*{"a*" * 30}{i}": normal std=0.01' for i in range(size))
    return _net(size, f"{'a' * 60}{{i}}: conv2d 8 3 padding=1", f"{HEAD}init:\n{rules}")


@_case
def globs_of_freeze(size: int) -> str:
    globs = ", ".join(f'"*{"a*" * 30}{i}"' for i in range(size))
    return _net(size, f"{'a' * 60}{{i}}: conv2d 8 3 padding=1", f"{HEAD}freeze: [{globs}]\n")


@_case
def unknown_operators(size: int) -> str:
    return _net(15 * size, "a{i}: konv{i} 8 3")


@_case
def unknown_arguments(size: int) -> str:
    return _net(15 * size, "a{i}: conv2d 8 3 foo{i}=3")


@_case
def unknown_tensors(size: int) -> str:
    return _net(15 * size, "a{i}: relu @b{i}")


@_case
def unknown_names(size: int) -> str:
    return _lets(15 * size, "unknown{i}")


@_case
def clashing_shapes(size: int) -> str:
    return _net(5 * size, "c{i}: add @a @b", f"{HEAD}net:\n  a: conv2d 8 3 @in\n  b: conv2d 8 5 @in\n").replace(
        "net:\n  c0", "  c0"
    )


@_case
def lost_rows(size: int) -> str:
    lines = _lines(f"a{i}: conv2d 8 2 stride={3 + i} @image" for i in range(size))
    return f"{FIXED.replace('8, 8', '1000001, 1000001')}net:\n{lines}"


@_case
def members_read(size: int) -> str:
    return f"{HEAD}net:\n  c: {{for: {{i: 1..{size}}}, do: relu}}\n{_lines(f'd{i}: concat @c.*' for i in range(size))}"


@_case
def parts_made(size: int) -> str:
    return _net(size, "d{i}: split 1 1 @image", HEAD.replace("3, H", "9999, H"))


@_case
def names_filled(size: int) -> str:
    return _net(size, "b{i}: concat @a$(1..99)$(1..99)", HEAD)


@_case
def blocks_doubled(size: int) -> str:
    deep = min(size.bit_length() + 4, 40)
    blocks = _lines(f"b{i}: {{net: {{{'n' * 90}l: b{i + 1}, {'n' * 90}r: b{i + 1}}}}}" for i in range(deep))
    return f"{HEAD}blocks:\n{blocks}  b{deep}: {{net: [relu, relu]}}\nnet: {{a: b0}}\n"


@_case
def blocks_called(size: int) -> str:
    body = ", ".join("conv2d w 3 padding=1" for _ in range(100))
    return f"{HEAD}blocks:\n  b: {{args: w, net: [{body}]}}\nnet: {{a: {{for: {{i: 1..{size}}}, do: b i}}}}\n"


@_case
def arguments_declared(size: int) -> str:
    args = ", ".join(f"a{i}: {i}" for i in range(5 * size))
    return _net(2 * size, "c{i}: b", f"{HEAD}blocks: {{b: {{args: {{{args}}}, net: relu}}}}\n")


@_case
def deep_names(size: int) -> str:
    nested = "".join(f"{'  ' * (2 * d + 1)}{'n' * 95}{d}:\n{'  ' * (2 * d + 2)}do:\n" for d in range(18))
    return f"{HEAD}net:\n{nested}" + "".join(f"{'  ' * 37}a{i}: relu\n" for i in range(5 * size))


@_case
def repeats(size: int) -> str:
    return _net(size, "a{i}: conv2d 8 3 padding=1 x9999")


@_case
def loops(size: int) -> str:
    return f"{HEAD}net:\n  a: {{for: {{i: 1..{size}}}, do: {{for: {{j: 1..{size}}}, do: {{if: false, do: relu}}}}}}\n"


@_case
def short_lines(size: int) -> str:
    return f"{HEAD}net:\n" + "- relu\n" * (500 * size)


@_case
def long_lines(size: int) -> str:
    return _net(size, f"a{{i}}: concat {' '.join('@in' for _ in range(4500))}")


@_case
def empty_braces(size: int) -> str:
    return f"{HEAD}doc: [{'{}, ' * (1000 * size)}]\nnet: relu\n"


@_case
def comments(size: int) -> str:
    return f"{HEAD}net: relu\n" + f"# {'x' * 97}\n" * (75 * size)


@_case
def ignore_comments(size: int) -> str:
    return f"{HEAD}net: relu {' '.join(f'# netc: ignore[a{i}]' for i in range(50 * size))}\n"


@_case
def layers_counted(size: int) -> str:
    checks = _lines(f"- a{i}.macs < {10**9 + i}" for i in range(size))
    return _net(size, "a{i}: conv2d 8 3 padding=1", f"{FIXED}checks:\n{checks}")


@_case
def imports_named(size: int) -> str:
    return _net(
        size, f"a{{i}}: m{size - 1}", f"{HEAD}import:\n{_lines(f'm{i}: netc:squeeze_excite' for i in range(size))}"
    )
