"""The tree of modules: nodes under the modules of the source, or under those that were found without names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from netc.importing import units
from netc.importing.graph import Frame, Graph, Node, Value
from netc.ir.flat import join

CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})
"""Classes that say nothing about what is in them."""

FEW = 4
"""Nodes of a module without parameters that is not worth a block."""


class Part:
    """A node, or a module with its parts in order. `name` is local to the module around it, empty where there is none;
    `chain`: each part reads the one before it, and nothing else is read or given away."""

    __slots__ = ("at", "chain", "cls", "inputs", "name", "node", "outputs", "parent", "parts", "path", "template")

    def __init__(self, name: str, node: Node | None = None, cls: str = "", path: str = "") -> None:
        self.name, self.node, self.cls, self.path = name, node, cls, path
        self.parts: list[Part] = []
        self.parent: Part | None = None
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.chain = False
        self.template: object = None
        self.at = 0

    @property
    def plain(self) -> bool:
        """Does its class say nothing?"""
        return self.cls.rsplit(".", 1)[-1] in CONTAINERS or not self.cls

    def nodes(self) -> Iterator[Node]:
        if self.node is not None:
            yield self.node
        for part in self.parts:
            yield from part.nodes()

    def modules(self) -> Iterator[Part]:
        """Every module in it, the innermost first."""
        for part in self.parts:
            if part.node is None:
                yield from part.modules()
                yield part

    def has_params(self) -> bool:
        return any(node.params for node in self.nodes())


def flat(graph: Graph) -> Part:
    """No modules at all: every node stands for itself under the name of its own that the source has."""
    root = Part("")
    root.parts = [Part(node.path, node) for node in graph.nodes]
    _settle(root, graph)
    return root


Place = tuple[list[Frame], str]
"""The modules around a node, outermost first, and the name it has in the last of them."""


def tree(graph: Graph) -> Part:
    """The modules that the scopes of the nodes name, simplified."""
    return arranged(graph, {node: _place(node) for node in graph.nodes})


def arranged(graph: Graph, places: Mapping[Node, Place]) -> Part:
    """The modules that are given, simplified."""
    root = _grown(graph, places)
    units.mark(root)
    root.parts = _simplified(root)
    _settle(root, graph)
    _dissolve(root, graph)
    _gather(root, graph)
    return root


def _grown(graph: Graph, places: Mapping[Node, Place]) -> Part:
    root, opened = Part(""), list[Part]()
    count: Counter[str] = Counter()
    for node in graph.nodes:
        frames, leaf = places[node]
        free = not node.reads
        known = 0
        while known < min(len(opened), len(frames)) and opened[known].path.split("@")[0] == frames[known].path:
            known += 1
        if not free or known < len(opened):
            del opened[known:]
        around = opened[-1] if opened else root
        for frame in frames[known:]:
            count[frame.path] += 1
            again = f"@{count[frame.path]}" if count[frame.path] > 1 else ""
            module = Part(_local(frame.path, around.path), None, frame.cls, frame.path + again)
            around.parts.append(module)
            opened.append(module)
            around = module
        around.parts.append(Part(leaf, node))
    return root


def _place(node: Node) -> Place:
    frames = list(node.scope)
    if node.path:
        frames = [frame for frame in frames if node.path.startswith(frame.path + ".")]
        return frames, _local(node.path, frames[-1].path if frames else "")
    return frames, ""


def _local(path: str, around: str) -> str:
    around = around.split("@")[0]
    return path[len(around) + 1 :] if around and path.startswith(around + ".") else path


def _simplified(module: Part) -> list[Part]:
    """The parts of a module, those that are no use opened."""
    kept: list[Part] = []
    for part in module.parts:
        if part.node is not None:
            kept.append(part)
            continue
        part.parts = _simplified(part)
        kept += _opened(part)
    return kept


def _opened(module: Part) -> list[Part]:
    parts, name = module.parts, module.name
    if len(parts) == 1:
        only = parts[0]
        if units.is_unit_class(module.cls):
            return [module]
        if only.node is not None:
            only.name = join(name, only.name) if only.node.params else name
            return parts
        if module.plain:
            only.name = join(name, only.name)
            return parts
    if _undoes_another(module):
        for part in parts:
            part.name = join(name, part.name) if part.name else ""
        return parts
    if not units.is_unit_class(module.cls) and not module.has_params() and len(parts) <= FEW:
        for part in parts:
            part.name = "" if part.name.isdigit() else part.name
        return parts
    return [module]


def _undoes_another(module: Part) -> bool:
    """Whether a statement in it undoes one outside, which blocks cannot be given as an input."""
    inside = set(module.nodes())
    undone = [value.maker for node in inside if node.op.undoes for value in node.references.values()]
    return any(maker not in inside for maker in undone)


def _settle(root: Part, graph: Graph) -> None:
    """Find out what every module reads and gives, and which are chains."""
    readers, results = graph.readers(), graph.results()
    for module in [*root.modules(), root]:
        for part in module.parts:
            part.parent = module
        _ends(module, readers, results)
    root.inputs = list(graph.inputs)
    root.outputs = [value for _, value in graph.outputs]
    for module in root.modules():
        module.chain = _is_chain(module, readers, results)


def _ends(module: Part, readers: dict[Value, list[Node]], results: set[Value]) -> None:
    for part in module.parts:
        if part.node is not None:
            part.inputs, part.outputs = list(part.node.reads), list(part.node.outputs)
    inside = set(module.nodes())
    reads = [value for node in module.nodes() for value in node.reads if value.maker not in inside]
    module.inputs = list(dict.fromkeys(reads))
    produced = [value for node in module.nodes() for value in node.outputs]
    module.outputs = [v for v in produced if v in results or any(reader not in inside for reader in readers.get(v, ()))]


def _is_chain(module: Part, readers: dict[Value, list[Node]], results: set[Value]) -> bool:
    if len(module.inputs) != 1 or len(module.outputs) != 1 or not module.parts:
        return False
    before, last = module.inputs[0], module.parts[-1]
    for part in module.parts:
        if list(part.inputs) != [before] or (part.node is not None and part.node.references):
            return False
        used = [v for v in part.outputs if readers.get(v) or v in results]
        if len(used) != 1 or (part.node is not None and used[0].index):
            return False
        before = used[0]
        if part is not last and (before in results or before == module.outputs[0]):
            return False
        if part is not last:
            following = set(module.parts[module.parts.index(part) + 1].nodes())
            if any(reader not in following for reader in readers[before]):
                return False
    return before == module.outputs[0]


def _dissolve(root: Part, graph: Graph) -> None:
    """Open modules that stand alone with their class and are no lists."""
    classes: dict[str, list[Part]] = defaultdict(list)
    for module in root.modules():
        classes[module.cls].append(module)
    alone = {cls for cls, modules in classes.items() if len(modules) == 1}
    for module in [*root.modules(), root]:
        kept: list[Part] = []
        for part in module.parts:
            if part.node is not None or _stays(part, module, part.cls in alone):
                kept.append(part)
                continue
            for inner in part.parts:
                inner.name = join(part.name, inner.name) if inner.name else ""
                kept.append(inner)
        module.parts = kept
    _settle(root, graph)


def _stays(module: Part, around: Part, alone: bool) -> bool:
    if any("-" in part.name.partition(".")[0] for part in module.parts if part.has_params()):
        return False  # a name may have a hyphen behind a dot, so these keep theirs below the name of the module
    if module.chain and (module.plain or alone):
        return (module.plain and _counted(module)) or _numbered(module) or around.chain
    if alone and around.chain and around.plain and module.name.isdigit():
        return True
    return not alone and not module.plain


def _numbered(module: Part) -> bool:
    return all(not part.name or part.name.isdigit() for part in module.parts)


def _counted(module: Part) -> bool:
    """Whether a list names its parts as the source does: by their places."""
    return all(part.name in ("", str(at)) for at, part in enumerate(module.parts) if part.has_params())


def _gather(root: Part, graph: Graph) -> None:
    """`stage.0`, `stage.1`, … that read one another become a chain `stage`."""
    for module in [*root.modules(), root]:
        at = 0
        while at < len(module.parts):
            _gather_from(module, at, graph)
            at += 1
    _settle(root, graph)


def _gather_from(module: Part, at: int, graph: Graph) -> None:
    match = re.fullmatch(r"(.+)\.0", module.parts[at].name)
    if match is None:
        return
    name, count = match[1], 1
    while at + count < len(module.parts) and module.parts[at + count].name == f"{name}.{count}":
        count += 1
    run = module.parts[at : at + count]
    others = [part for part in module.parts if part not in run]
    if count < 2 or any(part.name.startswith(f"{name}.") for part in others):
        return
    wrapped = Part(name, None, "ModuleList", join(module.path, name))
    wrapped.parts = [_renamed(part, str(i)) for i, part in enumerate(run)]
    readers, results = graph.readers(), graph.results()
    _ends(wrapped, readers, results)
    if _is_chain(wrapped, readers, results):
        module.parts[at : at + count] = [wrapped]
        wrapped.parent = module
    else:
        for i, part in enumerate(run):
            part.name = f"{name}.{i}"


def _renamed(part: Part, name: str) -> Part:
    part.name = name
    return part
