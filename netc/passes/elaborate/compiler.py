"""One compile: files, blocks made once per arguments and input types, and everything found on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from netc.budget import spend
from netc.diagnostics.model import Frame, Source, Span
from netc.diagnostics.suggest import closest, in_order
from netc.dims import Dim, Domain, Size, bind, dim_text, exact_div, symbol
from netc.dims import symbols as symbols_of
from netc.expr.evaluate import Context, ExprError, evaluate, refuted, same, show, size_or_error, truth
from netc.expr.scope import Binding, Scope
from netc.expr.tree import Binary, Expr, Literal, Name, names_in, tensors_in
from netc.ir.flat import Flat
from netc.ir.model import Network, Node, Value
from netc.lazy import LazyModule
from netc.passes.elaborate.body import BodyBuilder
from netc.passes.elaborate.calls import block_key
from netc.passes.elaborate.drafts import (
    BlockDraft,
    CallDraft,
    Namespace,
    OutputDraft,
    TensorNames,
    UnknownTensor,
    itself,
)
from netc.passes.elaborate.files import Files, Instance
from netc.passes.elaborate.lost_rows import Made
from netc.passes.elaborate.place import Flow, Place
from netc.passes.elaborate.report import Report
from netc.syntax.ast import Alias, Body, Check, Definition, Input, Output, SpecFile
from netc.types import DTYPES, ERROR, FLOATS, TensorType

if TYPE_CHECKING:
    from netc.passes.elaborate import budgets, sizing
else:
    budgets = LazyModule("netc.passes.elaborate.budgets")
    sizing = LazyModule("netc.passes.elaborate.sizing")


def takes_many(definition: Definition) -> bool:
    """Whether the last input of a block takes all further tensors."""
    return bool(definition.inputs) and definition.inputs is not None and definition.inputs[-1].many


def _named(definition: Definition, count: int) -> list[tuple[str, Span]]:
    """The names of a definition's inputs for a number of tensors, and where they are declared."""
    if definition.inputs is None:
        return [("in", definition.span)]
    named = [(i.name, i.span) for i in definition.inputs if not i.many]
    rest = definition.inputs[-1:]
    return [*named, *[(f"{last.name}.{i}", last.span) for last in rest for i in range(count - len(named))]]


def _by_need(definition: Definition, names: Namespace, scope: Scope) -> tuple[list[Check], list[Check]]:
    """Checks of arguments and inputs alone, and those of what the body computes. What a file asks of its network as a
    whole is looked at when that is complete (`budgets`)."""
    checks = definition.checks
    if checks and isinstance(definition, SpecFile):
        checks = tuple(check for check in checks if not budgets.is_budget(check.that, scope))
    early = [check for check in checks if tensors_in(check.that) <= names.inputs.keys()]
    return early, [check for check in checks if check not in early]


class Compiler:
    """What one compile shares: the report, the bounds of symbols, the files and the blocks.

    dtype: the type of floating-point inputs, and of tensors without input that name none; None: as they say.
    texts: what is read in place of files, by path.
    """

    def __init__(self, dtype: str | None = None, texts: Mapping[str, Source] | None = None) -> None:
        self.dtype = dtype
        self.report = Report(probing=bool(texts))
        self.domain = Domain()
        self.files = Files(self.report, self.domain, texts or {})
        self._blocks: dict[Any, BlockDraft] = {}
        self._open: list[Definition] = []
        self.depth = 0
        self.at: Span | None = None
        """What is being elaborated."""
        self.definitions: dict[Definition, bool] = {}
        self.made_by: dict[Value, Node] = {}
        self.called: dict[Value, CallDraft] = {}

    @property
    def made(self) -> Made:
        """Who makes a tensor."""
        return Made(self.made_by, self.called)

    def spend(self, steps: int, span: Span) -> None:
        """Count what is done about a place; raises OverBudget."""
        self.at = span
        spend(steps)

    def block(
        self,
        definition: Definition,
        instance: Instance,
        values: dict[str, Any],
        types: tuple[TensorType, ...],
        frame: Frame,
    ) -> BlockDraft | None:
        """The block for a call; None when it cannot be elaborated at all (reported)."""
        key = block_key(definition, instance, values, types)
        if key in self._blocks:
            return self._blocks[key]
        if definition in self._open:
            code = "import-cycle" if isinstance(definition, SpecFile) else "recursive-block"
            self.report.add(code, f"`{definition.name}` contains itself", frame.span)
            return None
        if not self._fits(definition, types, frame):
            return None
        self.report.trail.append(frame)
        self._open.append(definition)
        inputs = tuple(Value(t, n, s) for t, (n, s) in zip(types, _named(definition, len(types)), strict=True))
        draft = self.elaborate(definition, instance, values, inputs)
        self._open.pop()
        self.report.trail.pop()
        if draft is not None:
            self._blocks[key] = draft
        return draft

    def _fits(self, definition: Definition, types: tuple[TensorType, ...], frame: Frame) -> bool:
        wanted = 1 if definition.inputs is None else sum(not i.many for i in definition.inputs)
        if len(types) != wanted and not (len(types) > wanted and takes_many(definition)):
            names = ", ".join(f"{i.name}.*" if i.many else i.name for i in definition.inputs or ())
            listed = f" ({names})" if names else ""
            more = " or more" if takes_many(definition) else ""
            message = f"`{definition.name}` takes {wanted}{more} input{'s' * (wanted != 1)}{listed}, not {len(types)}"
            self.report.add("bad-arity", message, frame.span)
            return False
        if isinstance(definition, SpecFile):
            return all(self._same_rank(i, t, frame) for i, t in zip(definition.inputs or (), types, strict=True))
        return True

    def _same_rank(self, declared: Input, given: TensorType, frame: Frame) -> bool:
        if declared.shape is None or len(declared.shape) == given.rank:
            return True
        message = f"input `{declared.name}` has {len(declared.shape)} axes; {given} has {given.rank}"
        self.report.add("rank-mismatch", message, frame.span)
        return False

    def elaborate(
        self, definition: Definition, instance: Instance, values: dict[str, Any], inputs: tuple[Value, ...]
    ) -> BlockDraft | None:
        """Elaborate a definition's body for given argument values and inputs; None where they are refused at once."""
        self.definitions[definition] = True
        names = Namespace(definition, definition.shared)
        names.inputs.update({v.path: v for v in inputs})
        if takes_many(definition):
            assert definition.inputs is not None
            names.many = {definition.inputs[-1].name: len(inputs) - len(definition.inputs) + 1}
        if inputs:
            names.inputs["in"] = inputs[0]
        scope = self._scope(definition, instance, values, names)
        build = BodyBuilder(self)
        place = Place("", "", "", scope, instance, names)
        if isinstance(definition, SpecFile):
            self._rebind(definition, instance, inputs)
        early, late = _by_need(definition, names, scope)
        if not all(self._holds(check, instance, scope) for check in early):
            return None
        flow = Flow(inputs[0] if inputs else None)
        statement = definition.net
        if isinstance(statement, Body):
            made = build.body(statement, place, flow)
        elif statement is None:
            made = build.run(Alias(span=definition.span, refs=()), place, flow)
        else:
            made = build.run(statement, place, Flow(flow.value, linked=True))
        build.report_forks()
        outputs = self._outputs(definition, build, place, made.value)
        for check in late:
            self._holds(check, instance, scope)
        return BlockDraft(
            definition=definition, arguments=values, inputs=inputs, items=[*made.items, *build.weights],
            outputs=outputs, scope=scope, names=names, complete=not build.failed,
        )  # fmt: skip

    def _scope(self, definition: Definition, instance: Instance, values: dict[str, Any], names: Namespace) -> Scope:
        tensors = TensorNames(names, "")
        if isinstance(definition, SpecFile):
            return Scope(instance.scope, {}, owner=definition, tensors=tensors)
        bindings = {k: Binding("argument", v) for k, v in values.items()}
        bindings |= {name: Binding("let", tuple(range(count))) for name, count in names.many.items()}
        scope = Scope(instance.scope, bindings, owner=definition, tensors=tensors)
        self.files.add_lets(definition, scope, instance)
        return scope

    def _rebind(self, spec: SpecFile, instance: Instance, inputs: tuple[Value, ...]) -> None:
        """Give the symbols of a file's input shapes the sizes they have in this use; check its fixed sizes."""
        for declared, value in zip(spec.inputs or (), inputs, strict=True):
            if value.type is ERROR:
                continue
            for axis, (expr, size) in enumerate(zip(declared.shape or (), value.type.shape, strict=True)):
                self._solve(expr, size, instance)
                if any(instance.scope.find(name) is None for name in names_in(expr)):
                    continue
                wanted = self.files.attempt(partial(evaluate, expr, self._symbolic(instance)), instance.source)
                if wanted is not ERROR and not same(wanted, size):
                    where = f"input `{declared.name}` of `{spec.name}`"
                    message = f"{where} has size {show(wanted)} on axis {axis}, not {dim_text(size)}"
                    frame = self.report.trail[-1] if self.report.trail else None
                    fixed = not names_in(expr)
                    at = os.path.basename(spec.path)
                    help = f"`{at}` says {show(wanted)}; a name such as `C` in its place takes any size"
                    span = frame.span if frame else declared.span
                    self.report.add("shape-mismatch", message, span, helps=(help,) if fixed else ())

    def _solve(self, expr: Expr, size: Size, instance: Instance) -> None:
        """Bind the one unknown symbol of a declared size such as `h` or `32*h`, where the size is such a multiple."""
        unknown = [name for name in names_in(expr) if instance.scope.find(name) is None]
        if len(unknown) != 1:
            return
        declared = self.files.attempt(lambda: evaluate(expr, self._symbolic(instance)), instance.source)
        factor = bind(declared, {unknown[0]: 1}) if isinstance(declared, Dim) else 0
        if isinstance(factor, int) and factor > 0 and same(declared, factor * symbol(unknown[0])):
            value = exact_div(size, factor)
            if value is not None:
                instance.scope.bindings[unknown[0]] = Binding("symbol", value)

    def _symbolic(self, instance: Instance) -> Context:
        return self.files.context(instance.scope, instance, symbols=True)

    def _outputs(
        self, definition: Definition, build: BodyBuilder, place: Place, last: Value | None
    ) -> tuple[OutputDraft, ...]:
        if definition.outputs is None:
            return () if last is None else (OutputDraft("out", itself(last), False, True, last.span),)
        made: dict[str, OutputDraft] = {}
        for output in definition.outputs:
            for name, turn in self._named_outputs(output, build, place):
                draft = self._output(name, output, build, turn)
                if name in made:
                    self.report.add("duplicate-name", f"`{name}` is the name of another output", output.span)
                elif draft is not None:
                    made[name] = draft
        return tuple(made.values())

    def _named_outputs(self, output: Output, build: BodyBuilder, place: Place) -> Iterator[tuple[str, Place]]:
        """The name of each output that a declaration makes, and the place where its expressions are read."""
        scopes = [place.scope]
        if output.loop is not None:
            scopes = [scope for scope, _ in build.turns(output.loop, place, Flow(None)) or []]
        for scope in scopes:
            turn = place.within(scope)
            names = build.texts(output.parts, turn)
            yield from ((name, turn) for name in names or [])

    def _output(self, name: str, output: Output, build: BodyBuilder, place: Place) -> OutputDraft | None:
        """None for one that a condition takes away with its tensor."""
        enabled = True
        if output.condition is not None:
            context = self.files.context(place.scope, place.instance)
            enabled = self.files.attempt(partial(truth, output.condition, context), place.instance.source)
        if enabled is False and not self._exists(output.source.parts, place):
            return None
        found = build.references(output.source, place, explicit=None)
        if len(found) > 1:
            message = f"output `{name}` is one tensor, not {len(found)}"
            helps = ("several outputs have names with a hole: `score$k: {for: {k: 1..3}, from: head$k}`",)
            self.report.add("bad-arity", message, output.span, helps=helps)
        value = found[0] if found else Value(ERROR, name, output.span)
        self._check_hidden(name, output, value, place)
        return OutputDraft(name, value, output.train_only, enabled is not False, output.span)

    def _check_hidden(self, name: str, output: Output, value: Value, place: Place) -> None:
        """A caller's `@block.name` walks modules first, so a statement hides another output of its name."""
        slot = place.names.slots.get(name)
        if self._open and slot is not None and (slot.value is None or itself(slot.value) is not value):
            message = f"output `{name}` is hidden by the statement of the same name, which callers get instead"
            helps = ("rename one of them",)
            self.report.add("hidden-output", message, output.span, helps=helps, severity="warning")

    def _exists(self, parts: tuple[str | Expr, ...], place: Place) -> bool:
        text = parts[0]
        if not isinstance(text, str) or len(parts) > 1:
            return isinstance(text, str) and text.partition(".")[0] in place.names.heads
        try:
            place.names.find(text, place.prefix, expose=False)
        except UnknownTensor:
            return False
        return True

    def check_budgets(self, network: Network, flat: Flat, scope: Scope, instance: Instance) -> None:
        """Report the checks of a file that do not hold of its network as a whole."""
        asked = [check for check in network.file.checks if budgets.is_budget(check.that, scope)]
        known = budgets.Budgets(network, flat, scope) if asked else None
        for check in asked:
            assert known is not None
            told = self.files.attempt(partial(known.told, check), instance.source)
            if told is not ERROR:
                self._holds(told, instance, scope)

    def _holds(self, check: Check, instance: Instance, scope: Scope) -> bool:
        """Whether a check holds; one that does not is reported where the block or file that makes it is called."""
        context = self.files.context(scope, instance)
        if self.files.attempt(partial(truth, check.that, context), instance.source) is not False:
            return True
        notes = (f"it is {refuted(check.that, context)}",) if isinstance(check.that, Binary) else ()
        message = f"`{check.span.text}` does not hold"
        if check.message:
            said = [part if isinstance(part, str) else self._said(part, context, instance) for part in check.message]
            message, notes = "".join(said), ()
        if not self.report.trail:
            self.report.add("check-failed", message, check.span, notes=notes)
            return False
        caller = self.report.trail.pop()
        line, _ = check.span.source.position(check.span.start)
        where = f"`{caller.name}` needs `{check.span.text}` (line {line} of {check.span.source.path})"
        self.report.add("check-failed", f"{caller.name}: {message}", caller.span, notes=(*notes, where))
        self.report.trail.append(caller)
        return False

    def _said(self, expr: Expr, context: Context, instance: Instance) -> str:
        value = self.files.attempt(partial(evaluate, expr, context), instance.source)
        return "?" if value is ERROR else show(value)

    def inputs(self, spec: SpecFile, instance: Instance, bound: dict[str, int]) -> tuple[Value, ...]:
        """The declared inputs of the root file, with symbols as they are written or bound to numbers."""
        shapes = [self._declared_shape(declared, instance) for declared in spec.inputs or ()]
        symbols = {name for shape in shapes for size in shape for name in symbols_of(size)}
        if not bound.keys() <= symbols:
            bound = self._bound(bound, shapes, spec)
        values = []
        for declared, known in zip(spec.inputs or (), shapes, strict=True):
            sizes = zip(known, declared.shape or (), strict=False)
            shape = [self._positive(bind(size, bound), expr, instance) for size, expr in sizes]
            complete = len(shape) == len(declared.shape or ()) and declared.dtype in DTYPES
            if declared.dtype not in DTYPES:
                self.report.add("bad-argument", f"the dtype must be one of {', '.join(DTYPES)}", declared.span)
            kind = TensorType(tuple(shape), self._dtype(declared.dtype)) if complete else ERROR
            values.append(Value(kind, declared.name, declared.span))
        for name in sorted(symbols):
            instance.scope.bindings.setdefault(name, Binding("symbol", bound.get(name, symbol(name))))
        self._unknown_bindings(bound, symbols, spec)
        return tuple(values)

    def _declared_shape(self, declared: Input, instance: Instance) -> tuple[Size, ...]:
        """The sizes of an input as they are written, up to the first that has no value."""
        shape: list[Size] = []
        for axis, expr in enumerate(declared.shape or ()):
            size = self.files.attempt(partial(self._size, expr, axis, instance), instance.source)
            if size is ERROR:
                break
            shape.append(size)
        return tuple(shape)

    def _bound(self, given: dict[str, int], shapes: list[tuple[Size, ...]], spec: SpecFile) -> dict[str, int]:
        """Numbers for symbols, where numbers of axes are given too."""
        try:
            return sizing.for_symbols(given, shapes)
        except sizing.Unfit as unfit:
            self.report.add("bad-argument", f"--size: {unfit}", None, path=spec.path)
            return {}

    def _dtype(self, declared: str) -> str:
        return self.dtype if self.dtype and declared in FLOATS else declared

    def _size(self, expr: Expr, axis: int, instance: Instance) -> Any:
        if isinstance(expr, Literal) and type(expr.value) is int and expr.value >= 1:
            return expr.value
        for name in names_in(expr):
            if len(name) == 1 and instance.scope.find(name) is not None:
                message = f"`{name}` is an argument or a `let`, so it cannot be a symbol in a size"
                raise ExprError("ambiguous-name", message, expr, "rename it: symbols are single letters")
        letter = "Nchwdabe"[axis % 8]
        free = f"a size that may vary is a single letter: `{letter}`"
        names = instance.scope.names()
        if isinstance(expr, Name) and len(expr.id) > 1 and closest(expr.id, names) is None and expr.id not in names:
            raise ExprError("unknown-name", f"`{expr.id}` is not an argument of this file", expr, free, letter)
        size = evaluate(expr, self._symbolic(instance))
        if size is None or size == -1:
            message = f"a size must be an integer or a symbol, not {show(size)}"
            raise ExprError("bad-argument", message, expr, free, letter)
        return size_or_error(size, expr)

    def _positive(self, size: Size, expr: Expr, instance: Instance) -> Size:
        """The size, reported where it is not at least 1; a symbolic one raises the bounds of its symbols."""
        verdict = self.domain.require(size, 1)
        if not verdict.holds and not verdict.too_complex:
            span = Span(instance.source, expr.start, expr.end)
            self.report.add("bad-argument", f"a size must be at least 1, not {dim_text(size)}", span)
        return size

    def _unknown_bindings(self, bound: dict[str, int], symbols: set[str], spec: SpecFile) -> None:
        unknown = [name for name in bound if name not in symbols]
        if not unknown:
            return
        names = " or ".join(f"`{name}`" for name in unknown)
        what = "an axis or symbol" if set(unknown) <= set("DHW") else "a symbol"
        listed = in_order([f"`{name}`" for name in sorted(symbols)]) if symbols else "none"
        notes = (f"the symbols are {listed}",) if symbols else ("their sizes are all numbers",)
        message = f"no input has {what} {names}"
        helps = (
            () if what != "a symbol" else ("`--size 224x224` sets height and width, whatever symbols they are made of",)
        )
        self.report.add("unknown-name", message, None, notes=notes, helps=helps, path=spec.path)
