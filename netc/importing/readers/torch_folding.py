"""What a module computes from its parameters alone, as a bias put together of parts: computed once, as a weight."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from netc.importing.graph import Held, Weight, whole
from netc.libraries import torch


class Folding:
    """The nodes of an exported program that depend on no input, and their values when one is asked for.

    held: the tensors of the module by their nodes.
    """

    def __init__(self, program: Any, held: Mapping[Any, Any]) -> None:
        self._held = held
        self._values: dict[Any, Any] = {}
        self._todo: deque[Any] = deque()
        self._alone = set(held)
        for node in program.graph.nodes:
            if node.op == "call_function" and (self._alone.issuperset(node.all_input_nodes) or _is_filled(node)):
                self._alone.add(node)
                self._todo.append(node)
        self._written = self._written_over()

    def _written_over(self) -> set[Any]:
        """Calls whose result another one writes into later, by itself or by a part of it, and the calls that write,
        which give the same tensor."""
        found: set[Any] = set()
        for writer in self._todo:
            if _writes(writer.target):
                stack = list(writer.args[:1])
                while stack:
                    node = stack.pop()
                    if node in self._alone and node not in self._held and node not in found:
                        found.add(node)
                        stack += [] if _is_filled(node) else node.all_input_nodes
                if found.intersection(writer.args[:1]):
                    found.add(writer)
        return found

    def is_written(self, node: Any) -> bool:
        """Whether a call's result is not what it gave once all calls are made."""
        return node in self._written

    def of(self, node: Any) -> Weight | list[Weight] | None:
        """What a call gives, several tensors where it gives several; None where an input of the network has a part."""
        if node not in self._alone:
            return None
        value = self._value(node)
        if isinstance(value, list | tuple):
            return [_weight(item) for item in value]
        return _weight(value) if hasattr(value, "detach") else None

    def sources(self, node: Any) -> set[Any]:
        """The tensors of the module that it is computed from."""
        seen: set[Any] = set()
        stack = [node]
        while stack:
            top = stack.pop()
            if top not in seen:
                seen.add(top)
                stack += top.all_input_nodes
        return seen & self._held.keys()

    def _value(self, node: Any) -> Any:
        """All calls up to the node are made in their order, since some write into what others gave."""
        lib = torch()
        with lib.no_grad():
            while self._todo and node not in self._held and (node in self._written or node not in self._values):
                first = self._todo.popleft()
                self._values[first] = _filled(first) if _is_filled(first) else self._called(first)
        return self._known(node)

    def _called(self, node: Any) -> Any:
        args, kwargs = torch().fx.node.map_arg((node.args, node.kwargs), self._known)
        return node.target(*args, **kwargs)

    def _known(self, node: Any) -> Any:
        """Tensors of the module are copied, so that nothing is written into them."""
        if node not in self._values:
            self._values[node] = self._held[node].detach().clone()
        return self._values[node]


def _word(target: Any) -> str:
    return str(getattr(target, "__name__", "")).partition(".")[0]


def _writes(target: Any) -> bool:
    name = _word(target)
    return name.endswith("_") and not name.startswith("_")


FILLS: dict[str, int | str] = {"zeros": 0, "new_zeros": 0, "zeros_like": 0, "ones": 1, "new_ones": 1, "ones_like": 1}
FILLS |= {"full": "fill_value", "new_full": "fill_value", "full_like": "fill_value"}
"""Calls that make a tensor of one number everywhere: that number, or the argument that says it."""


def _is_filled(node: Any) -> bool:
    """Whether a call makes a tensor of known sizes and one number; of a tensor it is given it takes no values."""
    shape = getattr(node.meta.get("val"), "shape", None)
    return _word(node.target) in FILLS and shape is not None and all(isinstance(size, int) for size in shape)


def _filled(node: Any) -> Any:
    made, lib = node.meta["val"], torch()
    fill = FILLS[_word(node.target)]
    if isinstance(fill, str):
        fill = node.kwargs.get(fill, node.args[-1])
    return lib.full(tuple(made.shape), fill, dtype=made.dtype)


def _weight(value: Any) -> Weight:
    dtype = str(value.dtype).removeprefix("torch.")
    return whole(Held("", dtype, tuple(value.shape), lambda: value.detach().cpu().numpy()))
