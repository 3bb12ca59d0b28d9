"""Inputs and outputs of an ONNX file matched with those of a network or of another file: by name, or by order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from netc.diagnostics.model import NetcError
from netc.diagnostics.suggest import listed
from netc.dims import Size, bind, symbol, symbols
from netc.passes.sizes import FARTHEST, Binding, Shape, names_in
from netc.run.inputs import bad_input
from netc.run.model import Session
from netc.types import TensorType


class MatchedNames(msgspec.Struct, frozen=True, eq=False):
    """inputs: the file's names, in our order; outputs: the file's names by ours, for those it has."""

    inputs: tuple[str, ...]
    outputs: Mapping[str, str]

    def __str__(self) -> str:
        return f"inputs {', '.join(self.inputs)}; outputs {', '.join(map(_pair, self.outputs.items()))}"


def _pair(names: tuple[str, str]) -> str:
    ours, theirs = names
    return ours if ours == theirs else f"{ours} = {theirs}"


def match(
    inputs: Mapping[str, TensorType], outputs: Mapping[str, TensorType], session: Session, path: str
) -> MatchedNames:
    """Names match where all do; else the order does. Outputs only one side has are left out.

    Raises NetcError (`bad-input`) where the numbers or dtypes of inputs differ, or no output has a counterpart.
    """
    named = _by_name(inputs, session.inputs) if inputs.keys() == session.inputs.keys() else None
    if named is None and len(inputs) != len(session.inputs):
        raise _refused(path, f"takes {listed(session.inputs)}, not {listed(inputs)}")
    names = named or dict(zip(inputs, session.inputs, strict=True))
    for ours, theirs in names.items():
        if inputs[ours].dtype != session.inputs[theirs].dtype:
            raise _refused(path, f"takes {session.inputs[theirs].dtype} as {theirs}, not {inputs[ours].dtype}")
    return MatchedNames(tuple(names.values()), _outputs(outputs, session, path))


def _outputs(outputs: Mapping[str, TensorType], session: Session, path: str) -> dict[str, str]:
    common = _by_name(outputs, session.outputs)
    if not common and len(outputs) == len(session.outputs):
        return dict(zip(outputs, session.outputs, strict=True))
    if not common:
        raise _refused(path, f"gives {listed(session.outputs)}, nothing of {listed(outputs)}")
    return common


def _by_name(ours: Mapping[str, TensorType], theirs: Mapping[str, TensorType]) -> dict[str, str]:
    return {name: name for name in ours if name in theirs}


def _refused(path: str, problem: str) -> NetcError:
    return bad_input(f"{path} {problem}")


def solve(names: Sequence[str], shapes: Sequence[Shape], actual: Sequence[Shape], fixed: Binding) -> dict[str, int]:
    """Values of symbols with which `shapes` have the sizes of `actual` wherever these are numbers.

    Raises NetcError (`bad-input`) naming the shape that has no such sizes.
    """
    solved = dict(fixed)
    for _ in range(2):
        for name, shape, sizes in zip(names, shapes, actual, strict=True):
            if len(shape) != len(sizes):
                raise _unequal(name, shape, sizes, fixed)
            for size, target in zip(shape, sizes, strict=True):
                if isinstance(target, int):
                    solved |= _solved(bind(size, solved), target, (name, shape, sizes, fixed))
    return solved


def _solved(size: Size, target: int, about: tuple[str, Shape, Shape, Binding]) -> dict[str, int]:
    if isinstance(size, int):
        if size != target:
            raise _unequal(*about)
        return {}
    free = symbols(size)
    if len(free) != 1:
        return {}
    (name,) = free
    fitting = next(_candidates(size, target, name), None)
    if fitting is None:
        raise _unequal(*about)
    return {name: fitting}


def _candidates(size: Size, target: int, name: str) -> Iterator[int]:
    if size == symbol(name):
        yield target
    yield from (n for n in range(FARTHEST * 4) if bind(size, {name: n}) == target)


def _unequal(name: str, shape: Shape, sizes: Shape, bind: Binding) -> NetcError:
    ours, theirs = ("×".join(map(str, each)) or "a scalar" for each in (shape, sizes))
    fixed = ", ".join(f"{symbol}={bind[symbol]}" for symbol in sorted(names_in(shape)) if symbol in bind)
    where = f" with {fixed}" if fixed else ""
    return bad_input(f"{name} is {ours}, which{where} cannot be {theirs}")
