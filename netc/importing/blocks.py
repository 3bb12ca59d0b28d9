"""From the tree of modules to blocks: each class one block where that can say all its modules, innermost first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from netc.importing.bodies import Refused
from netc.importing.classes import UNKNOWN
from netc.importing.graph import Graph
from netc.importing.naming import block_name, snake
from netc.importing.parts import Part
from netc.importing.roles import role_of
from netc.importing.templates import Template, parted, unify

LISTS = frozenset({"mlp", "mlpblock", "ffn", "feedforward"})
"""Classes of short chains that read better as lists, where all of their modules are alike."""

FEW = 7


def compose(root: Part, graph: Graph, split: Collection[str] = ()) -> list[Template]:
    """The blocks of a network, each behind those it uses, the network itself last.

    split: classes whose modules are blocks by their exact structure alone. Raises Refused where not even a single
    module can be said.
    """
    templates: list[Template] = []
    todo = _classes(root)
    while todo:
        ready = [(cls, ms) for cls, ms in todo if all(_is_ready(m) for m in ms)]
        if not ready:
            cls, modules = todo[0]
            now = [module for module in modules if _is_ready(module)]
            if not now:
                raise Refused("modules that contain one another")
            ready = [(cls, now)]
            todo = [(c, [m for m in ms if m not in now]) if c == cls else (c, ms) for c, ms in todo]
        else:
            todo = [item for item in todo if item not in ready]
        for cls, modules in ready:
            _make(cls, modules, graph, templates, split)
    templates.append(unify("", [root], graph))
    return templates


def _classes(root: Part) -> list[tuple[str, list[Part]]]:
    """The modules that become blocks, by class."""
    groups: dict[str, list[Part]] = defaultdict(list)
    for module in root.modules():
        module.template = None
        groups[module.cls].append(module)
    classes = []
    for cls, modules in groups.items():
        chosen = [module for module in modules if not (module.plain and module.chain)]
        if all(module.chain for module in modules) and (len(modules) == 1 or _reads_as_list(cls, modules)):
            continue
        if chosen:
            for module in chosen:
                module.template = _PENDING
            classes.append((cls, chosen))
    return classes


_PENDING = object()


def _reads_as_list(cls: str, modules: list[Part]) -> bool:
    if cls.rsplit(".", 1)[-1].lower().replace("_", "") not in LISTS:
        return False
    shapes = {tuple(part.node.op.name if part.node else "" for part in module.parts) for module in modules}
    return len(shapes) == 1 and "" not in next(iter(shapes)) and len(next(iter(shapes))) <= FEW


def _is_ready(module: Part) -> bool:
    return all(part.node is not None or (part.template is not _PENDING and _inner_ready(part)) for part in module.parts)


def _inner_ready(part: Part) -> bool:
    return part.template is not None or _is_ready(part)


def _make(cls: str, modules: list[Part], graph: Graph, templates: list[Template], split: Collection[str]) -> None:
    if cls not in split and (not modules[0].plain or len(modules) == 1):
        try:
            _enter(cls, modules, graph, templates)
            return
        except Refused:
            if len(modules) == 1:
                raise
    groups = parted(modules, graph)
    for group in groups:
        try:
            _enter(cls, group, graph, templates)
        except Refused:
            for module in group:
                _enter(cls, [module], graph, templates)


def _enter(cls: str, modules: list[Part], graph: Graph, templates: list[Template]) -> None:
    word = cls or "unit"
    if word.startswith(UNKNOWN) or not cls:
        word = role_of(list(modules[0].nodes()), snake(word.removeprefix(UNKNOWN)))
    template = unify(block_name(word, [*(t.name for t in templates), *graph.shared.values()]), modules, graph)
    template.cls = cls
    for at, module in enumerate(modules):
        module.template, module.at = template, at
    templates.append(template)
