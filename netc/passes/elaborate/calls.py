"""Calls a block or an imported file: binds its arguments and finds the block elaborated for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from netc.budget import PARAMETER, spend
from netc.diagnostics.model import Frame
from netc.diagnostics.suggest import listed
from netc.expr.evaluate import OperatorValue
from netc.expr.scope import how_said
from netc.ir.model import Call, Value
from netc.passes.elaborate.arguments import Bound, bind, missing, said, value_key
from netc.passes.elaborate.files import FileInstance, Files
from netc.passes.elaborate.namespace import CallSite, Elaborated, NameEntry
from netc.passes.elaborate.place import Applied, failed
from netc.passes.elaborate.session import CompileSession
from netc.passes.elaborate.target import Target, arguments_meant, complain, has_bare_tensors
from netc.syntax.ast import Definition, Import, Variant
from netc.types import ERROR, TensorType


class Instantiation(msgspec.Struct, frozen=True, eq=False):
    """A definition of a file instance with values of its arguments and types of its inputs: what a block is made of."""

    definition: Definition
    instance: FileInstance
    values: dict[str, Any]
    types: tuple[TensorType, ...]


Elaborate = Callable[[Instantiation, Frame], Elaborated | None]
"""Finds the block that something is called for; None after an error."""


def make_call(
    session: CompileSession,
    elaborate: Elaborate,
    callee: Definition | Import,
    target: Target,
    inputs: tuple[Value, ...],
) -> Applied:
    """A call of `callee` on `inputs`; whatever is wrong is reported, inside the callee too."""
    place, line, report = target.place, target.line, session.report
    chosen = _definition(session.files, callee, target)
    if chosen is None or has_bare_tensors(report, place, line):
        return failed(place, line)
    definition, variant = chosen
    spend(PARAMETER * len(definition.parameters))
    bound = bind(target.given, tuple([p.name for p in definition.parameters]), line.op)
    ok = complain(report, bound.complaints)
    if isinstance(callee, Definition):
        meant = arguments_meant(bound.complaints)
        required = [p.name for p in definition.parameters if p.default is None]
        for name in [name for name in missing(bound, required) if name not in meant]:
            takes = listed(p.name if p.default is None else f"{p.name}=…" for p in definition.parameters)
            report.error("missing-argument", f"`{line.op}` needs `{name}`", line.op_span).note(f"it takes {takes}")
            ok = False
    values = _values(session.files, bound, target, inputs)
    if not ok or ERROR in values.values() or any(v.type is ERROR for v in inputs):
        return failed(place, line)
    types = tuple(v.type for v in inputs)
    if isinstance(callee, Import):
        assert definition.file is not None
        instance = session.files.instance(definition.file, variant, values, types)
        values = dict(instance.arguments)
    else:
        instance = target.instance
        values = _with_defaults(session.files, definition, values, instance)
    frame = Frame(definition.name, line.span, place.path)
    block = None if ERROR in values.values() else elaborate(Instantiation(definition, instance, values, types), frame)
    return failed(place, line) if block is None else _applied(session, block, callee, bound, target, inputs)


def _definition(files: Files, callee: Definition | Import, target: Target) -> tuple[Definition, Variant | None] | None:
    if isinstance(callee, Definition):
        return callee, None
    spec = files.imported(callee, target.instance.spec)
    if spec is None:
        return None
    variant = files.variant(spec, callee.variant, callee.span)
    return None if callee.variant and variant is None else (spec, variant)


def _values(files: Files, bound: Bound, target: Target, inputs: tuple[Value, ...]) -> dict[str, Any]:
    return {
        name: files.value(
            scoped.argument.value, files.of_scope(scoped.scope), target.place.beside(scoped.scope, inputs)
        )
        for name, scoped in bound.by_name.items()
    }


def _with_defaults(
    files: Files, definition: Definition, values: dict[str, Any], instance: FileInstance
) -> dict[str, Any]:
    """All of a block's arguments in the order of its signature; defaults are read in the block's file."""
    full = {}
    for parameter in definition.parameters:
        if parameter.name in values:
            full[parameter.name] = values[parameter.name]
        elif parameter.default is not None:
            full[parameter.name] = files.value(parameter.default, instance, instance.scope)
    return full


def _applied(
    session: CompileSession,
    elaborated: Elaborated,
    callee: Definition | Import,
    bound: Bound,
    target: Target,
    inputs: tuple[Value, ...],
) -> Applied:
    place, line = target.place, target.line
    declared = elaborated.block.outputs
    paths = [place.path] if len(declared) == 1 else [f"{place.path}.{o.name}" for o in declared]
    outputs = tuple(Value(o.value.type, path, line.span) for o, path in zip(declared, paths, strict=True))
    call = Call(
        path=place.path,
        module=place.module,
        block=elaborated.block,
        inputs=inputs,
        outputs=outputs,
        said={
            name: how_said(scoped.argument.value, place.beside(scoped.scope, inputs))
            for name, scoped in bound.by_name.items()
            if said(scoped) is not None
        },
        spans={name: scoped.argument.span for name, scoped in bound.by_name.items()},
        span=line.span,
        statement=line,
        imported=isinstance(callee, Import),
        shared=place.path != place.module or place.outer,
        outer=place.outer,
    )
    session.sites[call] = site = CallSite(call, elaborated, {})
    session.provenance.sites.update(dict.fromkeys(outputs, site))
    ports = {o.name: v for o, v in zip(declared, outputs, strict=True)} | elaborated.none()
    first = next((ports[o.name] for o in elaborated.outputs if o.name in ports), None)
    return Applied(call, NameEntry(first, ports, site), feeds=bool(inputs))


def block_key(instantiation: Instantiation) -> Any:
    """Equal for calls that may share one block."""
    plain = tuple((name, _argument_key(value)) for name, value in instantiation.values.items())
    return (id(instantiation.definition), id(instantiation.instance.scope), plain, instantiation.types)


def _argument_key(value: Any) -> Any:
    if isinstance(value, OperatorValue):
        return (value.text, id(value.scope))
    if isinstance(value, tuple):
        spend(2 * len(value))
        return tuple(_argument_key(v) for v in value)
    return value_key(value)
