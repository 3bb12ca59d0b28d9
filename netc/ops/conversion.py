"""Values of a spec in the canonical form of an attribute, or what the attribute takes instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from netc.dims import Dim, Size
from netc.literals import literal
from netc.ops.base import Attr, BadValue, Op, Padding, Scalar
from netc.ops.narrow import INFINITIES

Number = TypeVar("Number", int, int | None)


def convert(cls: type[Op], declared: Attr, value: Any) -> Any:
    """The canonical form of a value for an attribute, or BadValue saying what the attribute takes.

    Values arrive as int, float, bool, str, None, Dim or tuples of these.
    """
    if value is None and "none" in declared.words:
        return "none"
    if isinstance(value, str) and value in declared.words and value not in INFINITIES:
        return value
    result = _CONVERTERS[declared.kind](cls, declared, value)
    _check_bounds(declared, result)
    return result


def _check_bounds(declared: Attr, value: Any) -> None:
    least, most = declared.minimum, declared.maximum
    if least is None and most is None:
        return
    if type(value) is int and (least is None or value >= least) and (most is None or value <= most):
        return
    for n in value if isinstance(value, tuple) else (value,):
        if type(n) is not int and type(n) is not float:
            continue
        if least is not None and not n >= least:
            raise BadValue(f"`{declared.name}` must be at least {least}, not {n}")
        if most is not None and not n <= most:
            raise BadValue(f"`{declared.name}` must be at most {most}, not {n}")


def _wrong(declared: Attr, kinds: str, value: Any) -> BadValue:
    if declared.words:
        kinds += f" or one of {', '.join(declared.words)}"
    return BadValue(f"`{declared.name}` takes {kinds}, not {_shown(value)}")


def _shown(value: Any) -> str:
    return literal(value, word="`{}`".format)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


Converter = Callable[[type[Op], Attr, Any], Any]


def _whole(value: Any) -> Any:
    """A float that is a whole number counts as the int it is (`x/2` where it divides)."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _int(cls: type[Op], declared: Attr, value: Any) -> int:
    if type(value) is int and -(2**31) < value < 2**31:
        return value
    value = _whole(value)
    if isinstance(value, Dim):
        raise _symbolic(declared, value)
    if not _is_int(value):
        raise _wrong(declared, "a whole number", value)
    if abs(value) >= 2**31:
        raise BadValue(f"`{declared.name}` is too large: {value}")
    return int(value)


def _symbolic(declared: Attr, value: Dim) -> BadValue:
    return BadValue(f"`{declared.name}` must be a number, but {value} depends on the input; use --bind or a fixed size")


def _size(cls: type[Op], declared: Attr, value: Any) -> Size:
    return value if isinstance(value, Dim) else _int(cls, declared, value)


def _float(cls: type[Op], declared: Attr, value: Any) -> float:
    if value in INFINITIES and value in declared.words:
        return float(value)
    if isinstance(value, Dim):
        raise _symbolic(declared, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(declared, "a number", value)
    return float(value)


def _scalar(cls: type[Op], declared: Attr, value: Any) -> Scalar:
    """An integer stays one, as far as int64 holds it: it does not make floats of whole numbers."""
    if not _is_int(value):
        return _float(cls, declared, value)
    if not -(2**63) <= value < 2**63:
        raise BadValue(f"`{declared.name}` is too large: {value}")
    return int(value)


def _text(cls: type[Op], declared: Attr, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(declared, "a string in quotes", value)
    return value


def _tensor(cls: type[Op], declared: Attr, value: Any) -> bool | None:
    if value is not None:
        raise BadValue(f"`{declared.name}` takes a tensor, written with @")
    return None


def _bool(cls: type[Op], declared: Attr, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(declared, "true or false", value)
    return value


def _word(cls: type[Op], declared: Attr, value: Any) -> str:
    raise BadValue(f"`{declared.name}` must be one of {', '.join(declared.words)}, not {_shown(value)}")


def _items(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _ints(cls: type[Op], declared: Attr, value: Any) -> tuple[int, ...]:
    return tuple(_int(cls, declared, v) for v in _items(value))


def _sizes(cls: type[Op], declared: Attr, value: Any) -> tuple[Size, ...]:
    return tuple(_size(cls, declared, v) for v in _items(value))


def _per_axis(cls: type[Op], declared: Attr, value: Any) -> tuple[int, ...]:
    if type(value) is int:
        return (_int(cls, declared, value),) * cls.rank
    return _one_per_axis(cls, declared, _ints(cls, declared, value))


def _per_axis_or_kept(cls: type[Op], declared: Attr, value: Any) -> tuple[int | None, ...]:
    return _one_per_axis(cls, declared, tuple(_optional(_int)(cls, declared, v) for v in _items(value)))


def _one_per_axis(cls: type[Op], declared: Attr, numbers: tuple[Number, ...]) -> tuple[Number, ...]:
    if len(numbers) == 1:
        return numbers * cls.rank
    if len(numbers) != cls.rank:
        raise BadValue(f"`{declared.name}` takes one number or {cls.rank}, not {len(numbers)}")
    return numbers


def _floats(cls: type[Op], declared: Attr, value: Any) -> tuple[float, ...]:
    return tuple(_float(cls, declared, v) for v in _items(value))


def _padding(cls: type[Op], declared: Attr, value: Any) -> Padding:
    if isinstance(value, str):
        return _word(cls, declared, value)
    if type(value) is int:
        return _int(cls, declared, value)
    numbers = _ints(cls, declared, value)
    if len(numbers) not in (1, cls.rank, 2 * cls.rank):
        raise BadValue(
            f"`{declared.name}` takes one number, {cls.rank} or {2 * cls.rank} (begins, then ends), not {len(numbers)}"
        )
    if len(numbers) == 2 * cls.rank and numbers[: cls.rank] == numbers[cls.rank :]:
        numbers = numbers[: cls.rank]
    return numbers[0] if len(set(numbers)) == 1 and len(numbers) <= cls.rank else tuple(numbers)


def _optional(convert: Converter) -> Converter:
    return lambda cls, declared, value: None if value is None else convert(cls, declared, value)


_CONVERTERS: Mapping[str, Converter] = {
    "int": _int,
    "int | None": _optional(_int),
    "Size": _size,
    "Size | None": _optional(_size),
    "Sizes": _sizes,
    "Ints": _ints,
    "float": _float,
    "float | None": _optional(_float),
    "Scalar": _scalar,
    "Scalar | None": _optional(_scalar),
    "Text": _text,
    "Tensor": _tensor,
    "bool": _bool,
    "Word": _word,
    "PerAxis": _per_axis,
    "PerAxis | None": _optional(_per_axis),
    "PerAxisOrKept": _per_axis_or_kept,
    "Floats": _floats,
    "Padding": _padding,
}
