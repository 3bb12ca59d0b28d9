"""Specs written inside tests, and what the elaborator makes of them in a form that is easy to compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from netc.backends.pytorch import generate
from netc.diagnostics.model import Diagnostic, Source
from netc.ir.flat import Flat, FlatNode, flatten, parameters
from netc.ir.model import Network
from netc.passes import compile_spec
from netc.run.module import import_network


def spec(net: str, head: str = "", image: str = "[N, 3, 32, 32]") -> str:
    """A whole file: one input `image`, the statements of `net`, and further keys in `head`."""
    return f"netc: 1\ninputs: {{image: {image}}}\n{dedent(head)}\nnet:\n{indent(dedent(net), '  ')}\n"


def elaborate(text: str, **options: Any) -> tuple[Network | None, list[Diagnostic]]:
    return compile_spec(Source("case.yaml", dedent(text)), **options)


def shown(found: list[Diagnostic]) -> list[str]:
    return [f"{d.severity}[{d.code}] {d.message}" + (f" ^{d.span.text}^" if d.span else "") for d in found]


def errors(text: str, **options: Any) -> list[tuple[str, str]]:
    """(code, the characters it points at) of every finding; there must be an error and so no network."""
    network, found = elaborate(text, **options)
    assert network is None, "this was accepted"
    assert any(d.severity == "error" for d in found)
    return [(d.code, d.span.text if d.span else "") for d in found]


def accepted(net: str, head: str = "", image: str = "[N, 3, 8, 8]") -> Network:
    """The network of statements that are right."""
    found, problems = elaborate(spec(net, head, image))
    assert found is not None, shown(problems)
    return found


def module_of(source: Network, folder: Path) -> Any:
    """The generated module, from its file in the folder."""
    path = folder / "model.py"
    path.write_text(generate(source), encoding="utf-8")
    return import_network(path)


def codes(text: str, **options: Any) -> list[str]:
    return [code for code, _ in errors(text, **options)]


def warnings(text: str, **options: Any) -> list[tuple[str, str]]:
    """(code, the characters it points at) of every finding of a spec that is accepted."""
    network, found = elaborate(text, **options)
    assert network is not None, "\n".join(shown(found))
    return [(d.code, d.span.text if d.span else "") for d in found]


class Made:
    """A network opened to its operators. Every mapping is in the order in which they run."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.flat: Flat = flatten(network)
        self.nodes: dict[str, FlatNode] = {n.path: n for n in self.flat.nodes}

    @property
    def paths(self) -> list[str]:
        return [n.path for n in self.flat.nodes]

    @property
    def ops(self) -> dict[str, str]:
        """Path → operator."""
        return {n.path: n.node.op.name for n in self.flat.nodes}

    @property
    def reads(self) -> dict[str, list[str]]:
        """Path → the tensors it reads."""
        return {n.path: [w.path for w in n.inputs] for n in self.flat.nodes}

    @property
    def shapes(self) -> dict[str, str]:
        """Path → the shape of its first output."""
        return {n.path: str(n.outputs[0].type) for n in self.flat.nodes}

    @property
    def weights(self) -> dict[str, tuple[int, ...]]:
        """Key of the state_dict → shape, trainable parameters only."""
        return {key: param.shape for key, param, _ in parameters(self.flat) if param.trainable}

    @property
    def outputs(self) -> dict[str, str]:
        """Declared output → shape."""
        return {o.name: str(o.wire.type) for o in self.flat.outputs}

    @property
    def sources(self) -> dict[str, str]:
        """Declared output → the tensor it is."""
        return {o.name: o.wire.path for o in self.flat.outputs}

    def attribute(self, path: str, name: str) -> Any:
        return getattr(self.nodes[path].node.op, name)

    def attributes(self, name: str) -> list[Any]:
        """One attribute of every operator that has it, in order."""
        return [n.node.op.__dict__[name] for n in self.flat.nodes if name in n.node.op.__dict__]


def made(text: str, args: Mapping[str, Any] | None = None, **options: Any) -> Made:
    """The network of a spec that must be accepted without a single finding."""
    network, found = elaborate(text, args=args, **options)
    assert network is not None, "\n".join(shown(found))
    assert not found, "\n".join(shown(found))
    return Made(network)


def net(statements: str, head: str = "", image: str = "[N, 3, 32, 32]", **options: Any) -> Made:
    return made(spec(statements, head, image), **options)


def refused(statements: str, head: str = "", image: str = "[N, 3, 32, 32]", **options: Any) -> list[tuple[str, str]]:
    return errors(spec(statements, head, image), **options)
