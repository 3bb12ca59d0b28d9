"""Calls a block or an imported file: binds its arguments and finds the block elaborated for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.budget import PARAMETER, spend
from netc.diagnostics.model import Frame
from netc.diagnostics.suggest import listed
from netc.expr.evaluate import OperatorValue
from netc.expr.scope import how_said
from netc.ir.model import Value
from netc.passes.elaborate.arguments import Bound, bind, missing, said, value_key
from netc.passes.elaborate.drafts import BlockDraft, CallDraft, Slot
from netc.passes.elaborate.files import Instance
from netc.passes.elaborate.operators import with_own_input
from netc.passes.elaborate.place import Applied, failed
from netc.passes.elaborate.target import Target, arguments_meant, complain, has_bare_tensors
from netc.syntax.ast import Definition, Import, Variant
from netc.types import ERROR, TensorType

if TYPE_CHECKING:
    from netc.passes.elaborate.body import BodyBuilder


def make_call(build: BodyBuilder, callee: Definition | Import, target: Target, inputs: tuple[Value, ...]) -> Applied:
    """A call of `callee` on `inputs`; whatever is wrong is reported, inside the callee too."""
    place, line = target.place, target.line
    found = _definition(build, callee, target)
    if found is None:
        return failed(place, line)
    definition, variant = found
    if has_bare_tensors(build.report, place, line):
        return failed(place, line)
    spend(PARAMETER * len(definition.parameters))
    bound = bind(target.given, tuple([p.name for p in definition.parameters]), line.op)
    ok = complain(build.report, bound.complaints)
    if isinstance(callee, Definition):
        meant = arguments_meant(bound.complaints)
        required = [p.name for p in definition.parameters if p.default is None]
        for name in [name for name in missing(bound, required) if name not in meant]:
            takes = listed(p.name if p.default is None else f"{p.name}=…" for p in definition.parameters)
            notes = (f"it takes {takes}",)
            build.report.add("missing-argument", f"`{line.op}` needs `{name}`", line.op_span, notes=notes)
            ok = False
    values = _values(build, bound, target, inputs)
    if not ok or ERROR in values.values() or any(v.type is ERROR for v in inputs):
        return failed(place, line)
    block = _block(build, callee, definition, variant, values, target, inputs)
    if block is None:
        return failed(place, line)
    applied = _applied(block, callee, bound, target, inputs)
    if isinstance(applied.item, CallDraft):
        build.compiler.called.update(dict.fromkeys(applied.item.outputs, applied.item))
    return applied


def _definition(
    build: BodyBuilder, callee: Definition | Import, target: Target
) -> tuple[Definition, Variant | None] | None:
    if isinstance(callee, Definition):
        return callee, None
    spec = build.files.imported(callee, target.instance.spec)
    if spec is None:
        return None
    variant = build.files.variant(spec, callee.variant, callee.span)
    return None if callee.variant and variant is None else (spec, variant)


def _values(build: BodyBuilder, bound: Bound, target: Target, inputs: tuple[Value, ...]) -> dict[str, Any]:
    return {
        name: build.files.value(
            given.argument.value, build.files.of_scope(given.scope), with_own_input(target.place, given.scope, inputs)
        )
        for name, given in bound.by_name.items()
    }


def _block(
    build: BodyBuilder,
    callee: Definition | Import,
    definition: Definition,
    variant: Variant | None,
    values: dict[str, Any],
    target: Target,
    inputs: tuple[Value, ...],
) -> BlockDraft | None:
    types = tuple(v.type for v in inputs)
    if isinstance(callee, Import):
        assert definition.file is not None
        instance = build.files.instance(definition.file, variant, values, types)
        values = dict(instance.arguments)
    else:
        instance = target.instance
        values = _with_defaults(build, definition, values, instance)
    if ERROR in values.values():
        return None
    frame = Frame(definition.name, target.line.span, target.place.path)
    return build.compiler.block(definition, instance, values, types, frame)


def _with_defaults(
    build: BodyBuilder, definition: Definition, values: dict[str, Any], instance: Instance
) -> dict[str, Any]:
    """All of a block's arguments in the order of its signature; defaults are read in the block's file."""
    full = {}
    for parameter in definition.parameters:
        if parameter.name in values:
            full[parameter.name] = values[parameter.name]
        elif parameter.default is not None:
            full[parameter.name] = build.files.value(parameter.default, instance, instance.scope)
    return full


def _applied(
    block: BlockDraft, callee: Definition | Import, bound: Bound, target: Target, inputs: tuple[Value, ...]
) -> Applied:
    place, line = target.place, target.line
    declared = block.enabled()
    paths = [place.path] if len(declared) == 1 else [f"{place.path}.{o.name}" for o in declared]
    outputs = tuple(Value(o.value.type, path, line.span) for o, path in zip(declared, paths, strict=True))
    draft = CallDraft(
        path=place.path,
        module=place.module,
        block=block,
        inputs=inputs,
        outputs=outputs,
        said={
            name: how_said(given.argument.value, with_own_input(place, given.scope, inputs))
            for name, given in bound.by_name.items()
            if said(given) is not None
        },
        spans={name: given.argument.span for name, given in bound.by_name.items()},
        span=line.span,
        statement=line,
        imported=isinstance(callee, Import),
        shared=place.path != place.module or place.outer,
        outer=place.outer,
    )
    ports = {o.name: v for o, v in zip(declared, outputs, strict=True)} | block.none()
    first = next((ports[o.name] for o in block.outputs if o.name in ports), None)
    return Applied(draft, Slot(first, ports, draft), feeds=bool(inputs))


def block_key(definition: Definition, instance: Instance, values: dict[str, Any], types: tuple[TensorType, ...]) -> Any:
    """Equal for calls that may share one block."""
    plain = tuple((name, _argument_key(value)) for name, value in values.items())
    return (id(definition), id(instance.scope), plain, types)


def _argument_key(value: Any) -> Any:
    if isinstance(value, OperatorValue):
        return (value.text, id(value.scope))
    if isinstance(value, tuple):
        spend(2 * len(value))
        return tuple(_argument_key(v) for v in value)
    return value_key(value)
