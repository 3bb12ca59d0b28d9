"""What the classes of one file share: names, imports, and the classes that operators bring along."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from netc.backends.pytorch import tree
from netc.backends.pytorch.fit.classes import Classes
from netc.backends.pytorch.fit.plan import Plan
from netc.backends.pytorch.print.document import call_end, layout
from netc.backends.pytorch.print.lists import Lists
from netc.backends.pytorch.print.options import cut
from netc.backends.pytorch.print.place import Places
from netc.backends.pytorch.tree.names import RESERVED, pascal, safe
from netc.expr.terms import make_divisible
from netc.expr.tree import Expr, Literal, Name
from netc.expr.values import OperatorValue
from netc.ops.helpers import VARIED, Options
from netc.ops.records import TorchModule

CONSTANT_DEVICE = '''def constant_device() -> torch.device:
    """Device for constants: the default device, or the CPU instead of meta."""
    device = torch.get_default_device()
    return torch.device("cpu") if device.type == "meta" else device'''

STANDARD = ("collections", "fnmatch", "functools", "math", "typing")

_COMMON = re.compile(r'"""(?s:.*?)"""|#.*|"(?:\\.|[^"\\\n])*"|(?<![\w.])(?:(math|nn|torch)\.|(Tensor)\b)')
"""What most modules import, where it is code: docstrings, comments and literals are passed over."""


class File:
    """Of one network."""

    def __init__(self, classes: Classes, name: str) -> None:
        self.classes = classes
        self.modules: set[str] = set()
        self.names: dict[str, set[str]] = {}
        self.helpers: dict[str, str] = {}
        self.needs_make_divisible = False
        self._places: dict[Plan, Places] = {}
        self.identifiers: dict[Plan, dict[str, str]] = {}
        """What each class calls its parameters."""
        self.lists = Lists({})
        self.returned: dict[Plan, tuple[int, ...]] = {}
        """The lengths of the lists that a class returns, of those that return lists."""
        made = [
            (plan, n) for plan in classes.plans for n in tree.walk(plan.tree) if isinstance(n, tree.Make) and n.form
        ]
        shared = [(plan, s.make) for plan in classes.plans for s in tree.applied(plan.tree.steps) if s.shares]
        self.shared = frozenset(plan.callee(made) for plan, made in shared if isinstance(made, tree.New))
        """Classes of modules that are handed to others."""
        self._forms = dict.fromkeys(node.form for _, node in made if node.form is not None)
        self._uses: dict[str, list[Options]] = {}
        """Class of an operator → what each of its modules is given."""
        for plan, node in made:
            if node.form is not None and node.form.helper is not None:
                said = {h.name: plan.said(h) for h in node.holes if not h.is_omitted(plan.said(h))}
                given = {n: term.value if isinstance(term, Literal) else VARIED for n, term in said.items()}
                self._uses.setdefault(node.form.cls, []).append(given)
        self._helper_names: dict[tuple[str, str], str] = {}
        imported = {pair.partition(":")[2] for pairs in self._pairs() for pair in pairs}
        taken = {*RESERVED, "Module", *imported}
        self._name_helpers(taken)
        self._name_classes(name, taken)
        self.reserved = frozenset(taken)

    def _pairs(self) -> Iterator[tuple[str, ...]]:
        for plan in self.classes.plans:
            yield from (step.call.imports for step in tree.applied(plan.tree.steps) if step.call is not None)
        yield from (form.imports for form in self._forms)

    def _name_helpers(self, taken: set[str]) -> None:
        held = [
            value
            for plan in self.classes.plans
            for trace in plan.traces
            for value in trace.env.values()
            if isinstance(value, tree.Factory) and value.helper
        ]
        for value in held:
            self._uses.setdefault(value.cls, []).append(dict(value.arguments))
        known = [*((f.cls, f.helper) for f in self._forms), *((f.cls, f.helper) for f in held)]
        for cls, helper in [(cls, helper) for cls, helper in known if helper is not None]:
            if (cls, helper) not in self._helper_names:
                self._helper_names[cls, helper] = _numbered(cls, taken)
                taken.add(self._helper_names[cls, helper])

    def _name_classes(self, network: str, taken: set[str]) -> None:
        """The network's class comes first, then the blocks'."""
        root = self.classes.plans[-1]
        root.class_name = safe(network, taken)
        taken |= {root.class_name, f"{root.class_name}Output", f"{root.class_name}TrainingOutput"}
        for plan in self.classes.plans[:-1]:
            alike = [other for other in self.classes.plans if other.definition is plan.definition]
            name = plan.definition.class_name or pascal(plan.definition.name)
            more = "" if len(alike) == 1 else _difference(plan) or _more(plan, alike[0])
            stage = f"{name}Stage{more}" if plan.definition.net is None else ""
            free = (n for n in (safe(name + more), stage) if n and n not in taken)
            plan.class_name = next(free, "") or _numbered(safe(name + more), taken)
            taken.add(plan.class_name)

    def places(self, plan: Plan) -> Places:
        """Where the modules of a class live."""
        if plan not in self._places:
            self._places[plan] = Places(plan)
        return self._places[plan]

    def add(self, pair: str) -> None:
        """An import: `torch.nn.functional:relu`, or a module alone."""
        module, _, name = pair.partition(":")
        if name:
            self.names.setdefault(module, set()).add(name)
        else:
            self.modules.add(module)

    def use(self, form: TorchModule) -> str:
        """The class of a module, with what it needs in the file."""
        for pair in form.imports:
            self.add(pair)
        return form.cls if form.helper is None else self._use_helper(form.cls, form.helper)

    def constant(self, form: TorchModule, made: str) -> str:
        """A tensor that no checkpoint holds: made where there is memory, also for a module on the meta device."""
        if form.cls in ("nn.Parameter", "nn.Buffer"):
            return made
        self.helpers["constant_device"] = CONSTANT_DEVICE
        end = call_end(made)
        return f"{made[:end]}, device=constant_device(){made[end:]}"

    def use_factory(self, factory: tree.Factory) -> None:
        """What an operator as a value needs in the file."""
        if factory.helper is not None:
            self._use_helper(factory.cls, factory.helper)
        if factory.arguments:
            self.add("functools:partial")

    def _use_helper(self, cls: str, helper: str) -> str:
        name = self._helper_names[cls, helper]
        helper = cut(helper, self._uses[cls])
        self.helpers[name] = helper if name == cls else helper.replace(f"class {cls}(", f"class {name}(")
        return name

    def head(self, code: str) -> list[str]:
        """Imports and helpers before the classes, whose code names modules."""
        if self.needs_make_divisible:
            self.helpers["make_divisible"] = inspect.getsource(make_divisible)
        helpers = [line for text in self.helpers.values() for line in ("", "", *text.strip().splitlines())]
        used = {found[1] or found[2] for found in _COMMON.finditer("\n".join((*helpers, code)))}
        self.modules |= used & {"math", "torch"}
        for name in used & {"Tensor", "nn"}:
            self.add(f"torch:{name}")
        return [*self._imports(), *helpers]

    def _imports(self) -> list[str]:
        """Sorted as isort does: the standard library, then torch."""
        blocks = []
        for own in (True, False):
            plain = [f"import {m}" for m in sorted(self.modules) if (m.partition(".")[0] in STANDARD) is own]
            froms = [
                line
                for m in sorted(self.names)
                if (m.partition(".")[0] in STANDARD) is own
                for line in layout(f"from {m} import {', '.join(sorted(self.names[m], key=_order))}", 0)
            ]
            blocks.append([*plain, *froms])
        return [*blocks[0], *([""] if blocks[0] else []), *blocks[1]]


def _order(name: str) -> tuple[int, str]:
    """Constants, classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _numbered(base: str, taken: set[str]) -> str:
    name, number = base, 2
    while name in taken:
        name, number = f"{base}{number}", number + 1
    return name


def _difference(plan: Plan) -> str:
    """What a class was given in other places than usual: `Silu`, `WithoutAct`, `Deform`."""
    words = []
    for parameter in plan.definition.parameters:
        values = [trace.block.arguments[parameter.name] for trace in plan.traces]
        if isinstance(parameter.default, Literal) and isinstance(usual := parameter.default.value, bool):
            if all(value is not usual for value in values):
                words.append(f"{'Without' if usual else ''}{pascal(parameter.name)}")
            continue
        if not all(value is None or isinstance(value, OperatorValue) for value in values):
            continue
        given = {value.text.split()[0] if isinstance(value, OperatorValue) else "" for value in values}
        if len(given) == 1 and parameter.default is not None and given != {_usual(parameter.default)}:
            (operator,) = given
            words.append(pascal(operator) if operator else f"Without{pascal(parameter.name)}")
    return "".join(words)


def _more(plan: Plan, first: Plan) -> str:
    """The one module that a class has, or lacks, beside the first of its kind: `WithDrop`, `WithoutPool`."""
    own, usual = ({step.path.partition(".")[0] for step in tree.applied(one.tree.steps)} for one in (plan, first))
    for word, names in (("With", own - usual), ("Without", usual - own)):
        if len(names) == 1 and len(own ^ usual) == 1 and (name := names.pop()).isidentifier():
            return f"{word}{pascal(name)}"
    return ""


def _usual(default: Expr) -> str | None:
    """The operator that a default names."""
    if isinstance(default, Name):
        return default.id
    if isinstance(default, Literal) and isinstance(default.value, str):
        return default.value.split()[0]
    return "" if isinstance(default, Literal) and default.value is None else None
