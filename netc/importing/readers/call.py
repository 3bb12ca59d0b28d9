"""What a call of a source's operator has in common with those of other sources: operators of netc come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from netc.importing.graph import Graph, Scope, Value, Weight

H = TypeVar("H")


def registering(table: dict[str, H]) -> Callable[..., Callable[[H], H]]:
    """A decorator with names as its arguments: what it stands above is entered in `table` under each of them."""

    def named(*names: str) -> Callable[[H], H]:
        def register(handler: H) -> H:
            table.update(dict.fromkeys(names, handler))
            return handler

        return register

    return named


class Emitter:
    """Adds operators to a graph for one call of the source. `origin`: how a person finds that call."""

    origin: str

    def emit(self, name: str, *inputs: Value, params: Mapping[str, Weight] | None = None, **attributes: Any) -> Value:
        """Add an operator; its first output."""
        return self.emit_all(name, *inputs, params=params, **attributes)[0]

    def emit_all(
        self,
        name: str,
        *inputs: Value,
        params: Mapping[str, Weight] | None = None,
        references: Mapping[str, Value] | None = None,
        **attributes: Any,
    ) -> list[Value]:
        """Add an operator; all its outputs."""
        node = self.graph.add(name, inputs, params, origin=self.origin, references=references, **attributes)
        node.scope = self.scope
        node.path = self.owner([weight.held.name for weight in node.params.values()])
        return node.outputs

    @property
    def graph(self) -> Graph:
        """Where operators are added."""
        raise NotImplementedError

    @property
    def scope(self) -> Scope:
        """The modules of the source that the call lies in."""
        raise NotImplementedError

    def owner(self, weights: list[str]) -> str:
        """The path of the module that makes the call, as far as names tell; `weights` are the names of its weights."""
        raise NotImplementedError
