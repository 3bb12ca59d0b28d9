"""What an ONNX file says of the modules it was exported from: in the metadata, names of nodes and names of tensors."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence

from onnx import NodeProto

from netc.importing.graph import Frame, Scope
from netc.ir.flat import join

_PARAMETER = re.compile(r"(?P<module>[A-Za-z_][\w-]*(\.[\w-]+)*)\.(?P<role>\w+)", re.ASCII)
_ROLES = frozenset({"weight", "bias", "running_mean", "running_var", "in_proj_weight", "in_proj_bias", "gamma", "beta"})
NAMES, CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
_MOST = 64
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[\w-]+)+", re.ASCII)


def module_of(tensors: Sequence[str]) -> str:
    """The module that owns tensors, by their names; empty where these tell nothing."""
    for name in tensors:
        match = _PARAMETER.fullmatch(name)
        if match and match["role"] in _ROLES:
            return match["module"]
    return ""


def scope_of(node: NodeProto) -> Scope:
    """The modules around a node, outermost first."""
    about = {entry.key: entry.value for entry in node.metadata_props}
    if NAMES in about and CLASSES in about:
        names, classes = _texts(about[NAMES]), _texts(about[CLASSES])
        if len(names) == len(classes) and len(names) >= 1:
            return tuple(Frame(n, c) for n, c in zip(names[:-1], classes[:-1], strict=True) if n)[:_MOST]
    if node.name.startswith("/"):
        return _from_slashes(node.name)
    parts = statement_of(node).split(".")
    return tuple(Frame(".".join(parts[:at])) for at in range(1, min(len(parts), _MOST)))


def scopes_of(nodes: Sequence[NodeProto]) -> dict[str, Scope]:
    """The modules around every node, by its first output. Where an exporter tells them of most nodes, those that its
    optimiser put in stand where everything around them does."""
    scopes = {node.output[0]: scope_of(node) for node in nodes if node.output}
    silent = [node for node in nodes if node.output and not _is_told(node)]
    if len(silent) < len(scopes):
        makers = {output: node for node in nodes for output in node.output}
        found = _readers_scopes(silent, nodes, scopes)
        for node in silent:
            before = [makers[name] for name in node.input if name in makers]
            around = [scopes[maker.output[0]] for maker in before if maker.op_type != "Constant"]
            scopes[node.output[0]] = _common([*around, *found[node.output[0]]])
    return scopes


def _is_told(node: NodeProto) -> bool:
    return any(entry.key == NAMES for entry in node.metadata_props)


def _readers_scopes(
    silent: Sequence[NodeProto], nodes: Sequence[NodeProto], scopes: dict[str, Scope]
) -> dict[str, list[Scope]]:
    """The scopes of what reads silent nodes, by their first outputs; those of silent readers are their readers'."""
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            readers[name].append(node)
    found: dict[str, list[Scope]] = {}
    for node in reversed(silent):
        around: dict[Scope, None] = {}
        for reader in (reader for output in node.output for reader in readers[output] if reader.output):
            around.update(dict.fromkeys(found.get(reader.output[0], [scopes[reader.output[0]]])))
        found[node.output[0]] = list(around)
    return found


def _common(scopes: Sequence[Scope]) -> Scope:
    """The modules around all."""
    if not scopes:
        return ()
    shortest = min(scopes, key=len)
    count = next((i for i, frame in enumerate(shortest) if any(s[i] != frame for s in scopes)), len(shortest))
    return shortest[:count]


def statement_of(node: NodeProto) -> str:
    """`layer1.0.conv1` of `layer1.0.conv1/Conv`, where that is how a file names its nodes; empty otherwise."""
    name = str(node.name).partition("/")[0]
    return name if _DOTTED.fullmatch(name) else ""


def is_dotted(name: str) -> bool:
    """Is it what PyTorch calls a tensor of a module, `layer1.0.table`?"""
    return _DOTTED.fullmatch(name) is not None


def _texts(listed: str) -> list[str]:
    """A list of strings as Python prints it."""
    quoted = re.findall(r"'([^']*)'|\"([^\"]*)\"", listed)
    if quoted:
        return [a or b for a, b in quoted]
    try:
        items = json.loads(listed)
    except ValueError:
        return []
    return [str(item) for item in items] if isinstance(items, list) else []


def _from_slashes(name: str) -> Scope:
    """`/layer1/layer1.0/conv1/Conv`: members of a container repeat its name, and second calls of a module have `_1`."""
    frames: list[Frame] = []
    path = last = ""
    for part in name.split("/")[1:-1][:_MOST]:
        if last and part.startswith(last + "."):
            path += part[len(last) :]
        else:
            path = join(path, part)
        frames.append(Frame(path))
        last = part
    return tuple(frames)
