"""Where modules live: attributes of self, members of a sequence that the class is, or of lists and dictionaries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.print.code import quoted
from netc.backends.pytorch.print.loops import Family, families
from netc.backends.pytorch.tree import applied, branches
from netc.backends.pytorch.tree.names import MODULE, statement_name, word
from netc.ops.records import TorchTensor


class Places:
    """Of one class. `placed`: path of the weights → module; `numbered`: how many members it has as a sequence."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        made = [step for step in applied(plan.tree.steps) if step.make is not None and step.call is None]
        self.placed: dict[str, tree.Module] = {}
        for step in made:
            if step.make is not None:
                self.placed.setdefault(step.module, step.make)
        self.base = self.placed.pop("", None)
        """What the class derives from: the one module of a body that is a single line, whose weights have no prefix."""
        kept = {step.module.partition(".")[0] for step in made if step.kept}
        numbers = [int(path.partition(".")[0]) for path in self.placed if path.partition(".")[0].isdigit()]
        tensors = any(path.isdigit() and tensor_kind(made) for path, made in self.placed.items())
        self.numbered = max(numbers) + 1 if any(str(n) in kept for n in numbers) and not tensors else 0
        self.keyed = bool(self.numbered) and set(numbers) != set(range(self.numbered))
        """Whether some of the numbers are those of expressions, so that a dictionary has the others."""
        self.families = families(plan)
        self.moved = self._relocated(kept)
        self._conditional = frozenset(_conditional(plan.tree.steps))
        self._guarded = [p for p in self.placed if p in self._conditional and "." in p and p not in self.moved]
        listed = (family.path.partition(".")[0] for family in self.families.values())
        self.heads = frozenset((*(p.partition(".")[0] for p in self.placed), *self.moved.values(), *listed))

    def _relocated(self, kept: set[str]) -> dict[str, str]:
        """Modules without tensors of their own below a name: attributes, since no checkpoint knows them."""
        taken = {path.partition(".")[0] for path in self.placed}
        moved: dict[str, str] = {}
        for path in self.placed:
            head = path.partition(".")[0]
            if path in self.families or head in kept or (path == head and (self.numbered or not head.isdigit())):
                continue
            plain = f"layer{path}" if path.isdigit() else word(path.replace(".", "_"))
            near = (statement_name(path), head, *_operator(self.placed[path]), plain)
            free = (n for n in near if n not in moved.values() and (n == head or n not in taken) and n not in MODULE)
            moved[path] = next((n for n in free if not n[0].isdigit() and n[0] != "_"), plain)
        return moved

    def is_made(self, step: tree.Apply) -> bool:
        """Whether the constructor makes a module for a step."""
        return step.make is not None and step.call is None and step.module in self.placed

    def container_of(self, path: str) -> str:
        """What the constructor assigns for a module: itself, or the list or dictionary it is in."""
        if path in self.families:
            path = self.families[path].path
        head = path.partition(".")[0]
        return path if path in self.moved or self._is_stepwise(head) else head

    def stepwise(self, step: tree.Apply) -> Iterator[str]:
        """Dictionaries that members are put into one by one, of a step."""
        head = step.module.partition(".")[0]
        if step.module not in self.moved and head != step.module and self._is_stepwise(head):
            words = step.module.split(".")
            yield from (".".join(words[:i]) for i in range(1, len(words)))

    def _is_stepwise(self, head: str) -> bool:
        return any(path.startswith(f"{head}.") for path in self._guarded)

    def is_conditional(self, path: str) -> bool:
        """Whether a module is there only under a condition."""
        return path in self._conditional

    def name(self, path: str) -> str:
        """The attribute's own name."""
        return self.moved.get(path, path.rpartition(".")[2])

    def children(self, container: str) -> list[str]:
        """Names directly inside a container, in order."""
        start = f"{container}."
        inside = (p[len(start) :].partition(".")[0] for p in self.placed if p.startswith(start))
        return list(dict.fromkeys(inside))

    def members(self, container: str) -> dict[str, tree.Module]:
        """Everything inside a container by its path."""
        return {path: made for path, made in self.placed.items() if path.startswith(f"{container}.")}

    def listed(self, paths: Sequence[str]) -> str:
        """How code reaches a list of just these modules, or its end; "" where they stand in no list."""
        texts = [self.access(path) for path in paths]
        stems = {text.rpartition("[")[0] for text in texts}
        stem = stems.pop() if len(stems) == 1 and all(text.endswith("]") for text in texts) else ""
        at, size = [text[len(stem) + 1 : -1] for text in texts], self.length(paths[0])
        first = int(at[0]) if stem and at[0].isdigit() else size
        if at != [str(i) for i in range(first, size)]:
            return ""
        return f"{stem}[{first}:]" if first else stem

    def length(self, path: str) -> int:
        """How many modules there are in the list that a module is in."""
        family = self.families.get(path)
        return len(self.children(path.rpartition(".")[0]) if family is None else family.members)

    def is_list(self, container: str) -> bool:
        children = self.children(container)
        numbered = children == [str(i) for i in range(len(children))]
        if any(tensor_kind(made) for made in self.members(container).values()):
            return False
        return numbered and not self._is_stepwise(container.partition(".")[0])

    def access(self, path: str) -> str:
        """How code reaches a module or a tensor: `self.conv1`, `self.enc["conv"]`, `self.heads[0]`."""
        if not path:
            return "super().forward"
        if path in self.moved:
            return f"self.{self.moved[path]}"
        if path in self.families:
            family = self.families[path]
            return f"{self.list_of(family)}[{family.members.index(path)}]"
        kind = tensor_kind(self.placed[path]) if path in self.placed else ""
        head, *rest = path.split(".")
        if kind and rest:
            return f"{self.access(path.rpartition('.')[0])}.get_{kind}({quoted(rest[-1])})"
        if kind:
            return f'self.get_{kind}("{head}")' if head.isdigit() else f"self.{head}"
        numbered = f"self[{quoted(head) if self.keyed else head}]" if self.numbered else f'self.get_submodule("{head}")'
        found, prefix = numbered if head.isdigit() else f"self.{head}", head
        for name in rest:
            found += f"[{name}]" if self.is_list(prefix) else f"[{quoted(name)}]"
            prefix = f"{prefix}.{name}"
        return found

    def tensor(self, path: str, held: TorchTensor) -> str:
        """How code reaches a tensor of a module; by its key where the module's type does not tell."""
        made = self.placed.get(path)
        if held.name == "weight" and path.isidentifier() and isinstance(made, tree.Make) and made.form is not None:
            return f"{self.access(path)}.weight"
        return f"self.get_{held.kind}({quoted(f'{path}.{held.name}')})"

    def list_of(self, family: Family) -> str:
        """How code reaches the list of a family."""
        return self.access(family.path) if "." in family.path else f"self.{family.path}"


def _operator(made: tree.Module) -> Iterator[str]:
    """What a module does: `clip_boxes`."""
    if isinstance(made, tree.Make) and made.form is not None:
        yield re.sub(r"(?<=[a-z])(?=[A-Z])", "_", made.form.cls.rpartition(".")[2]).lower()


def tensor_kind(made: tree.Module) -> str:
    """`parameter` or `buffer` for what is no module but a tensor, else nothing."""
    if not isinstance(made, tree.Make) or made.form is None or not made.form.make:
        return ""
    return "parameter" if made.form.cls == "nn.Parameter" else "buffer"


def is_kept_buffer(made: tree.Module) -> bool:
    """Is it a buffer of the state_dict?"""
    return isinstance(made, tree.Make) and made.form is not None and made.form.cls == "nn.Buffer"


def _conditional(steps: Sequence[tree.Step]) -> Iterator[str]:
    """Modules that exist only under a condition."""
    for branch in branches(steps):
        yield from (a.module for side in branch.both() for a in applied(side.steps))
    yield from (a.module for a in applied(steps) if isinstance(a.make, tree.Either))
