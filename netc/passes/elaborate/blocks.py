"""Blocks, elaborated once per arguments and input types."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from netc.diagnostics.model import Frame, Span
from netc.dims import Dim, Size, bind, dim_text, exact_div, symbol
from netc.expr.evaluate import Context, evaluate, same, truth
from netc.expr.scope import Binding, Scope
from netc.expr.tree import Expr, names_in
from netc.ir.model import Block, BlockOutput, Value
from netc.literals import literal
from netc.passes.elaborate.body import BodyBuilder
from netc.passes.elaborate.calls import Instantiation, block_key
from netc.passes.elaborate.checks import by_need, holds
from netc.passes.elaborate.files import FileInstance
from netc.passes.elaborate.namespace import (
    DeclaredOutput,
    Elaborated,
    Namespace,
    TensorNames,
    UnknownTensor,
    unaliased,
)
from netc.passes.elaborate.place import Incoming, Place
from netc.passes.elaborate.session import CompileSession
from netc.syntax.ast import Alias, Body, Definition, Input, Output, SpecFile
from netc.syntax.library import is_shipped
from netc.types import ERROR, FLOATS, NONE, TensorType


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


class Blocks:
    """Elaborates definitions and keeps what came of them."""

    def __init__(self, session: CompileSession) -> None:
        self.session, self.report, self.files = session, session.report, session.files
        self._blocks: dict[Any, Elaborated] = {}
        self._open: list[Definition] = []

    def block(self, instantiation: Instantiation, frame: Frame) -> Elaborated | None:
        """The block for a call; None when it cannot be elaborated at all (reported)."""
        key = block_key(instantiation)
        if key not in self._blocks:
            made = self.made(instantiation, frame)
            if made is None:
                return None
            self._blocks[key] = made
        return self._blocks[key]

    def made(self, instantiation: Instantiation, frame: Frame) -> Elaborated | None:
        """A block that is not known yet."""
        definition, types = instantiation.definition, instantiation.types
        if definition in self._open:
            code = "import-cycle" if isinstance(definition, SpecFile) else "recursive-block"
            self.report.error(code, f"`{definition.name}` contains itself", frame.span)
            return None
        if not self._fits(definition, types, frame):
            return None
        self.report.trail.append(frame)
        self._open.append(definition)
        inputs = tuple(Value(t, n, s) for t, (n, s) in zip(types, _named(definition, len(types)), strict=True))
        elaborated = self.elaborate(definition, instantiation.instance, instantiation.values, inputs)
        self._open.pop()
        self.report.trail.pop()
        return elaborated

    def _fits(self, definition: Definition, types: tuple[TensorType, ...], frame: Frame) -> bool:
        count = 1 if definition.inputs is None else sum(not i.many for i in definition.inputs)
        if len(types) != count and not (len(types) > count and takes_many(definition)):
            names = ", ".join(f"{i.name}.*" if i.many else i.name for i in definition.inputs or ())
            listed = f" ({names})" if names else ""
            more = " or more" if takes_many(definition) else ""
            message = f"`{definition.name}` takes {count}{more} input{'s' * (count != 1)}{listed}, not {len(types)}"
            self.report.error("bad-arity", message, frame.span)
            return False
        if isinstance(definition, SpecFile):
            return all(self._same_rank(i, t, frame) for i, t in zip(definition.inputs or (), types, strict=True))
        return True

    def _same_rank(self, declared: Input, actual: TensorType, frame: Frame) -> bool:
        if declared.shape is None or len(declared.shape) == actual.rank:
            return True
        message = (
            f"input `{declared.name}` of `{frame.name}` has {len(declared.shape)} axes; {actual} has {actual.rank}"
        )
        self.report.error("rank-mismatch", message, frame.span)
        return False

    def elaborate(
        self, definition: Definition, instance: FileInstance, values: dict[str, Any], inputs: tuple[Value, ...]
    ) -> Elaborated | None:
        """Elaborate a definition's body for given argument values and inputs; None where they are refused at once."""
        names = Namespace(definition, instance.shared if isinstance(definition, SpecFile) else definition.shared)
        names.inputs.update({v.path: v for v in inputs})
        if takes_many(definition):
            assert definition.inputs is not None
            names.many = {definition.inputs[-1].name: len(inputs) - len(definition.inputs) + 1}
        if inputs:
            names.inputs["in"] = inputs[0]
        scope = self._scope(definition, instance, values, names)
        build = BodyBuilder(self.session, self.block)
        place = Place("", "", "", scope, instance, names)
        misfits = [*self._rebind(definition, instance, inputs)] if isinstance(definition, SpecFile) else []
        early, late = by_need(definition, names, scope)
        if not all(holds(self.session, check, instance, scope) for check in early) or self._refused(misfits):
            return None
        flow = Incoming(inputs[0] if inputs else None)
        statement = definition.net
        if isinstance(statement, Body):
            result = build.body(statement, place, flow)
        elif statement is None:
            result = build.run(Alias(span=definition.span, refs=()), place, flow)
        else:
            result = build.run(statement, place, Incoming(flow.value, linked=True))
        build.report_forks()
        outputs = self._outputs(definition, build, place, result.value)
        for check in late:
            holds(self.session, check, instance, scope)
        there = [o for o in outputs if o.enabled and o.value.type is not NONE]
        removed = [o.value for o in outputs if o.enabled is (o.value.type is NONE)]
        block = Block(
            definition=definition, arguments=values, inputs=inputs, items=(*result.items, *build.weights),
            outputs=tuple([BlockOutput(o.name, o.value, o.train_only) for o in there]), scope=scope,
            removed=tuple(removed),
        )  # fmt: skip
        return Elaborated(block, outputs, names)

    def _scope(self, definition: Definition, instance: FileInstance, values: dict[str, Any], names: Namespace) -> Scope:
        tensors = TensorNames(names, "")
        if isinstance(definition, SpecFile):
            return Scope(instance.scope, {}, owner=definition, tensors=tensors)
        bindings = {k: Binding("argument", v) for k, v in values.items()}
        bindings |= {name: Binding("let", tuple(range(count))) for name, count in names.many.items()}
        scope = Scope(instance.scope, bindings, owner=definition, tensors=tensors)
        self.files.add_lets(definition, scope, instance)
        return scope

    def _rebind(
        self, spec: SpecFile, instance: FileInstance, inputs: tuple[Value, ...]
    ) -> Iterator[tuple[str, str, str | None]]:
        """Give the symbols of a file's input shapes the sizes they have in this use; what inputs have otherwise than it
        declares, each with a code, a message and perhaps a remedy."""
        for declared, value in zip(spec.inputs or (), inputs, strict=True):
            if value.type is ERROR:
                continue
            where = f"input `{declared.name}` of `{spec.name}`"
            if (
                declared.dtype not in FLOATS
                and (value.type.dtype in FLOATS or "bool" in {declared.dtype, value.type.dtype})
                and declared.dtype != value.type.dtype
            ):
                yield "dtype-mismatch", f"{where} takes {declared.dtype} elements, not {value.type.dtype}", None
            for axis, (expr, size) in enumerate(zip(declared.shape or (), value.type.shape, strict=True)):
                self._solve(expr, size, instance)
                if any(instance.scope.find(name) is None for name in names_in(expr)):
                    continue
                wanted = self.files.attempt(partial(evaluate, expr, self._symbolic(instance)), instance.source)
                if wanted is not ERROR and not same(wanted, size):
                    message = f"{where} has size {literal(wanted)} on axis {axis}, not {dim_text(size)}"
                    named = (
                        f"`{os.path.basename(spec.path)}` says {literal(wanted)}; write a name such as `C` in its place"
                    )
                    fixed = not names_in(expr) and not is_shipped(spec.path)
                    yield "shape-mismatch", message, f"{named} to take any size" if fixed else None

    def _refused(self, misfits: Sequence[tuple[str, str, str | None]]) -> bool:
        """Report what inputs have otherwise than the file declares, at the line that calls it."""
        if not misfits:
            return False
        caller = self.report.trail.pop()
        for code, message, remedy in misfits:
            self.report.error(code, message, caller.span).help(remedy)
        self.report.trail.append(caller)
        return True

    def _solve(self, expr: Expr, size: Size, instance: FileInstance) -> None:
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

    def _symbolic(self, instance: FileInstance) -> Context:
        return self.files.context(instance.scope, instance, symbols=True)

    def _outputs(
        self, definition: Definition, build: BodyBuilder, place: Place, last: Value | None
    ) -> tuple[DeclaredOutput, ...]:
        if definition.outputs is None:
            return () if last is None else (DeclaredOutput("out", unaliased(last), False, True, last.span),)
        declared: dict[str, DeclaredOutput] = {}
        for output in definition.outputs:
            for name, turn in self._named_outputs(output, build, place):
                one = self._output(name, output, build, turn)
                if name in declared:
                    self.report.error("duplicate-name", f"`{name}` is the name of another output", output.span)
                elif one is not None:
                    declared[name] = one
        return tuple(declared.values())

    def _named_outputs(self, output: Output, build: BodyBuilder, place: Place) -> Iterator[tuple[str, Place]]:
        """The name of each output that a declaration makes, and the place where its expressions are read."""
        scopes = [place.scope]
        if output.loop is not None:
            scopes = [scope for scope, _ in build.turns(output.loop, place, Incoming(None)) or []]
        for scope in scopes:
            turn = place.within(scope)
            names = build.texts(output.parts, turn)
            yield from ((name, turn) for name in names or [])

    def _output(self, name: str, output: Output, build: BodyBuilder, place: Place) -> DeclaredOutput | None:
        """None for one that a condition takes away with its tensor."""
        enabled = True
        if output.condition is not None:
            context = self.files.context(place.scope, place.instance)
            enabled = self.files.attempt(partial(truth, output.condition, context), place.instance.source)
        if enabled is False and not self._exists(output.source.parts, place):
            return None
        values = build.references(output.source, place, explicit=None)
        if len(values) > 1:
            message = f"output `{name}` is one tensor, not {len(values)}"
            self.report.error("bad-arity", message, output.span).help(
                "several outputs have names with a hole: `score$k: {for: {k: 1..3}, from: head$k}`"
            )
        value = values[0] if values else Value(ERROR, name, output.span)
        self._check_hidden(name, output, value, place)
        return DeclaredOutput(name, value, output.train_only, enabled is not False, output.span)

    def _check_hidden(self, name: str, output: Output, value: Value, place: Place) -> None:
        """A caller's `@block.name` walks modules first, so a statement hides another output of its name."""
        entry = place.names.entries.get(name)
        if self._open and entry is not None and (entry.value is None or unaliased(entry.value) is not value):
            message = f"output `{name}` is hidden by the statement of the same name, which callers get instead"
            self.report.warning("hidden-output", message, output.span).help("rename one of them")

    def _exists(self, parts: tuple[str | Expr, ...], place: Place) -> bool:
        text = parts[0]
        if not isinstance(text, str) or len(parts) > 1:
            return isinstance(text, str) and text.partition(".")[0] in place.names.heads
        try:
            place.names.find(text, place.prefix, expose=False)
        except UnknownTensor:
            return False
        return True
