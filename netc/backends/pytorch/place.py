"""Where modules live: attributes of self, or members of lists and dictionaries."""

from __future__ import annotations

from collections.abc import Iterator

from netc.backends.pytorch.parts import Branches, Ctor, Either, OpCtor, Sequential, Step, Unit
from netc.backends.pytorch.plan import Plan
from netc.backends.pytorch.shadow import quoted


class Placer:
    """Where modules live: attributes of self, or members of lists and dictionaries."""

    def __init__(self, plan: Plan) -> None:
        self.placed = dict(placements(plan.template.steps))
        self.base = self.placed.pop("", None)
        """What the class derives from: the one module of a body that is a single line, whose weights have no prefix."""
        stepwise = (path for path, ctor in self.placed.items() if isinstance(ctor, Either) or tensor_kind(ctor))
        self.guarded = frozenset((*_guarded(plan.template.steps), *(path for path in stepwise if "." in path)))
        self.containers = dict.fromkeys(p for path in self.placed for p in prefixes(path))

    def parent(self, path: str) -> str:
        """How code reaches what a module or tensor is part of."""
        outer = path.rpartition(".")[0]
        return self.access(outer) if outer else "self"

    def children(self, container: str) -> list[str]:
        """Names directly inside a container, in order."""
        start = f"{container}."
        inside = (p[len(start) :].partition(".")[0] for p in self.placed if p.startswith(start))
        return list(dict.fromkeys(inside))

    def is_list(self, container: str) -> bool:
        numbered = [str(i) for i in range(len(self.children(container)))]
        return self.children(container) == numbered and not self.is_stepwise(container)

    def is_stepwise(self, container: str) -> bool:
        """Whether a member exists only under a condition, so that members are added one by one."""
        return any(p.startswith(f"{container.partition('.')[0]}.") for p in self.guarded)

    def access(self, path: str) -> str:
        """How code reaches a module or a tensor: `self.conv1`, `self.enc["conv"]`, `self.heads[0]`."""
        if not path:
            return "nn.Sequential(*self)" if isinstance(self.base, Sequential) else "super().forward"
        kind = tensor_kind(self.placed[path]) if path in self.placed else ""
        if kind and ("." in path or path.isdigit()):
            return f"{self.parent(path)}.get_{kind}({quoted(path.rpartition('.')[2])})"
        head, *rest = path.split(".")
        found, prefix = f'self.get_submodule("{head}")' if head.isdigit() else f"self.{head}", head
        for name in rest:
            found += f"[{name}]" if self.is_list(prefix) else f"[{quoted(name)}]"
            prefix = f"{prefix}.{name}"
        return found


def tensor_kind(ctor: Ctor) -> str:
    """`parameter` or `buffer` for what is no module but a tensor, else nothing."""
    if not isinstance(ctor, OpCtor) or not ctor.form.make:
        return ""
    return "parameter" if ctor.form.cls == "nn.Parameter" else "buffer"


def is_kept(ctor: Ctor) -> bool:
    """Is it a buffer of the state_dict?"""
    return isinstance(ctor, OpCtor) and ctor.form.cls == "nn.Buffer"


def placements(steps: list[Step]) -> Iterator[tuple[str, Ctor]]:
    """Path and constructor of every module, a shared one at its first call."""
    seen: set[str] = set()
    for step in steps:
        inner = [(step.module, step.ctor)] if isinstance(step, Unit) and step.ctor is not None else []
        if isinstance(step, Branches):
            inner = list(placements([*step.then, *step.otherwise]))
        for path, ctor in inner:
            if path not in seen:
                seen.add(path)
                yield path, ctor


def _guarded(steps: list[Step]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, Branches):
            yield from (path for path, _ in placements([*step.then, *step.otherwise]))


def prefixes(path: str) -> Iterator[str]:
    at = path.find(".")
    while at > 0:
        yield path[:at]
        at = path.find(".", at + 1)
