"""What an ONNX file says of the modules it was exported from: in the metadata, names of nodes and names of tensors."""

from __future__ import annotations

import json
import re
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


def statement_of(node: NodeProto) -> str:
    """`layer1.0.conv1` of `layer1.0.conv1/Conv`, where that is how a file names its nodes; empty otherwise."""
    name = str(node.name).partition("/")[0]
    return name if _DOTTED.fullmatch(name) else ""


def _texts(listed: str) -> list[str]:
    """A list of strings as Python prints it."""
    quoted = re.findall(r"'([^']*)'|\"([^\"]*)\"", listed)
    if quoted:
        return [a or b for a, b in quoted]
    try:
        found = json.loads(listed)
    except ValueError:
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


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
