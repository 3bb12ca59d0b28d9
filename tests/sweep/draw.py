"""Random attributes and inputs of an operator, most of them plausible, some wrong in one place or in all."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from netc.ops import OPERATORS, Op, convert
from netc.ops.base import Attr
from netc.ops.narrow import INFINITIES
from netc.ops.records import Sample
from netc.types import DTYPES, TensorType
from sweep.plausible import FITTING, INPUTS
from sweep.together import TOGETHER

Values = dict[str, Any]


class Case(msgspec.Struct, frozen=True):
    """One configuration: attribute values as a spec would give them, and the types of the inputs."""

    operator: str
    values: Values
    types: tuple[TensorType, ...]
    number: int
    seed: int

    def op(self) -> Op:
        """The operator; raises BadValue where the schema refuses a value."""
        cls = OPERATORS[self.operator]
        return cls(
            **{
                key: value if is_tensor(cls, key, value) else convert(cls, cls.attributes[key], value)
                for key, value in self.values.items()
            }
        )

    def line(self) -> str:
        """The line of a spec, with the shapes it is given."""
        given = " ".join(f"{key}={shown(value)}" for key, value in self.values.items())
        inputs = ", ".join(map(typed, self.types)) or "nothing"
        return f"{self.operator} {given}".rstrip() + f"   # on {inputs}"

    def again(self) -> str:
        """The command that runs this case alone."""
        return f"--operator {self.operator} --seed {self.seed} --case {self.number}"


def is_tensor(cls: type[Op], key: str, value: Any) -> bool:
    """Is this a tensor that the line names, which is passed after the inputs?"""
    return cls.attributes[key].kind == "Tensor" and value is True


def typed(t: TensorType) -> str:
    """`2×3×8`, and its element type where that is another than float32."""
    return str(t) if t.dtype == "float32" else f"{t} {t.dtype}"


def shown(value: Any) -> str:
    """A value as a spec writes it."""
    if isinstance(value, tuple):
        return f"({' '.join(map(shown, value))})"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return str(value)


def draw(operator: str, seed: int, number: int) -> Case:
    """The case with a number: always the same one."""
    random = Random(f"{seed}/{operator}/{number}")
    cls = OPERATORS[operator]
    if operator in TOGETHER and random.random() < 0.85:
        types, values = TOGETHER[operator](random)
    elif cls.sample is not None and operator not in INPUTS and random.random() < 0.4:
        types, values = near(cls.sample, random)
    else:
        types = inputs(cls, random)
        values = attributes(cls, types, random)
    return Case(operator, values, tuple(types), number, seed)


def near(sample: Sample, random: Random) -> tuple[list[TensorType], Values]:
    """What the class calls a typical use, as it is or with one size changed wherever it stands."""
    old = random.choice([n for t in sample.inputs for n in t.shape] or [0])
    new = random.choice((old, old, random.randint(1, 9)))
    types = [t.with_shape(*(new if n == old else n for n in t.shape)) for t in sample.inputs]
    return types, dict(sample.values)


def attributes(cls: type[Op], types: list[TensorType], random: Random) -> Values:
    """Values for required attributes and for some of the others; one of them is wrong at times."""
    fitting = FITTING.get(cls.name, {})
    shape = types[0].shape if types else ()
    values: Values = {}
    for name, declared in cls.attributes.items():
        if declared.required or random.random() < 0.45:
            make = fitting.get(name) or FITTING[""].get(name) or KINDS.get(declared.kind, whole)
            values[name] = make(random, shape, cls, declared)
    if cls.attributes and random.random() < 0.12:
        name = random.choice(list(cls.attributes))
        values[name] = odd(random, cls.attributes[name])
    return values


def inputs(cls: type[Op], random: Random) -> list[TensorType]:
    """Types of the inputs, now and then with a wrong size, rank or dtype, or one too many axes."""
    make = INPUTS.get(cls.name)
    types = make(random) if make else any_inputs(cls, random)
    if types and random.random() < 0.15:
        at = random.randrange(len(types))
        types[at] = bent(types[at], random)
    return types


def any_inputs(cls: type[Op], random: Random) -> list[TensorType]:
    """As many inputs as the operator takes, mostly alike, or alike but for axes that broadcast."""
    fewest, most = cls.arity
    count = random.randint(fewest, max(fewest, min(most or 3, 3))) + random.randint(0, len(cls.references))
    rank = cls.rank + 2 if cls.rank else random.choice((0, 1, 2, 3, 3, 4, 4, 5))
    shape = image(random, rank)
    dtype = random.choice(("float32",) * 8 + ("float64", "int64"))
    return [TensorType(spread(shape, random) if i else shape, dtype) for i in range(count)]


def image(random: Random, rank: int) -> tuple[int, ...]:
    """Small sizes, channels with many divisors."""
    small = 12 if rank < 4 else 8 if rank < 5 else 5
    shape = [random.randint(1, small) for _ in range(rank)]
    if rank > 0:
        shape[0] = random.randint(1, 3)
    if rank > 1:
        shape[1] = random.choice((1, 2, 3, 4, 6, 8, 12))
    return tuple(shape)


def spread(shape: tuple[int, ...], random: Random) -> tuple[int, ...]:
    """The shape itself, or one that broadcasts with it."""
    if random.random() < 0.6:
        return shape
    ones = tuple(1 if random.random() < 0.3 else n for n in shape)
    return ones[random.randint(0, len(ones)) if random.random() < 0.3 else 0 :]


def bent(t: TensorType, random: Random) -> TensorType:
    """A type with one thing changed."""
    shape = list(t.shape)
    way = random.randrange(4)
    if way == 0:
        return TensorType(t.shape, random.choice(sorted(DTYPES)))
    if way == 1 or not shape:
        shape.insert(random.randint(0, len(shape)), random.randint(1, 4))
    elif way == 2:
        shape.pop(random.randrange(len(shape)))
    else:
        shape[random.randrange(len(shape))] = random.randint(1, 9)
    return TensorType(tuple(shape), t.dtype)


def odd(random: Random, declared: Attr) -> Any:
    """A value at, before or beyond a bound, of another kind, or of another length."""
    choices = [-2, -1, 0, 1, 7, 40, 0.5, -0.5, 1.5, True, None, "word", (), (1, 2), (1, 2, 3), (2, -1), (0, 0, 0, 0)]
    bounds = [b for b in (declared.minimum, declared.maximum) if b is not None]
    kind = int if all(isinstance(b, int) for b in bounds) and "loat" not in declared.kind else float
    choices += [word for word in INFINITIES if word in declared.words] * 3
    choices += [kind(b + step) for b in bounds for step in (-1, 0, 1)] * 3
    return random.choice(choices)


def per_axis(random: Random, shape: tuple[int, ...], cls: type[Op], declared: Attr) -> Any:
    lowest = int(declared.minimum or 0)
    if random.random() < 0.6:
        return random.randint(lowest, lowest + 3)
    return tuple(random.randint(lowest, lowest + 3) for _ in range(cls.rank))


def per_axis_or_kept(random: Random, shape: tuple[int, ...], cls: type[Op], declared: Attr) -> Any:
    drawn = per_axis(random, shape, cls, declared)
    return tuple(None if random.random() < 0.25 else n for n in drawn) if isinstance(drawn, tuple) else drawn


def padding(random: Random, shape: tuple[int, ...], cls: type[Op], declared: Attr) -> Any:
    if random.random() < 0.3:
        return random.choice(declared.words)
    count = random.choice((1, 1, cls.rank, 2 * cls.rank))
    numbers = tuple(random.randint(0, 3) for _ in range(count))
    return numbers[0] if count == 1 else numbers


def whole(random: Random, shape: tuple[int, ...], cls: type[Op], declared: Attr) -> Any:
    lowest = int(declared.minimum if declared.minimum is not None else -1)
    return random.randint(lowest, lowest + 4)


def real(random: Random, shape: tuple[int, ...], cls: type[Op], declared: Attr) -> Any:
    if declared.maximum is not None:
        return random.choice((0.0, 0.1, 0.5, 1.0))
    return random.choice(
        (0.1, 0.5, 1.0, 2.0, 3, 0.0) if declared.minimum is not None else (0.1, 0.5, 1.0, 2.0, 3, -1.0)
    )


def numbers(make: Callable[[Random], Any]) -> Callable[..., Any]:
    return lambda random, shape, cls, declared: tuple(make(random) for _ in range(random.randint(1, 4)))


KINDS: dict[str, Callable[..., Any]] = {
    "bool": lambda random, shape, cls, declared: random.random() < 0.5,
    "Word": lambda random, shape, cls, declared: random.choice(declared.words),
    "Text": lambda random, shape, cls, declared: "i->i",
    "PerAxis": per_axis,
    "PerAxis | None": per_axis,
    "PerAxisOrKept": per_axis_or_kept,
    "Padding": padding,
    "int": whole,
    "int | None": whole,
    "Size": whole,
    "float": real,
    "float | None": real,
    "Scalar": real,
    "Scalar | None": lambda random, shape, cls, declared: random.choice((0, 1, 2, 0.5, -1.0, 3, None)),
    "Floats": numbers(lambda random: random.choice((0.5, 1.0, 2.0, 1.5))),
    "Ints": numbers(lambda random: random.randint(1, 4)),
    "Sizes": numbers(lambda random: random.choice((-1, 1, 2, 3, 4))),
}
"""How a value of each kind is drawn: (random, shape of the first input, operator, schema) → value."""
