"""Turns one line, applied to tensors, into a node or a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netc.diagnostics.model import Frame, Label, Span
from netc.dims import TooComplex
from netc.expr.evaluate import Context, ExprError, OperatorValue, Silenced, evaluate
from netc.expr.scope import Said, Scope
from netc.expr.tree import TensorRef
from netc.ir.model import Node, Value
from netc.ops.base import OPERATORS, BadValue, Op, convert
from netc.ops.records import Problem, Require
from netc.passes.elaborate.arguments import Given, bind, missing, said, value_key
from netc.passes.elaborate.drafts import CallDraft, Slot
from netc.passes.elaborate.files import Instance, did_you_mean
from netc.passes.elaborate.windows import window_findings
from netc.syntax.ast import Argument, Definition, Import, Line, SpecFile
from netc.syntax.line import LineText, parse_line
from netc.syntax.report import Report as SyntaxReport
from netc.types import ERROR, TensorType

if TYPE_CHECKING:
    from netc.passes.elaborate.body import BodyBuilder, Place


class Applied:
    """What a leaf came to: the item (None after an error), the tensor it stands for, and its name's slot."""

    __slots__ = ("feeds", "item", "slot")

    def __init__(self, item: Node | CallDraft | None, slot: Slot, feeds: bool = True) -> None:
        self.item, self.slot, self.feeds = item, slot, feeds


def apply(build: BodyBuilder, line: Line, place: Place, inputs: tuple[Value, ...] | None) -> Applied:
    """`inputs` are the tensors named with @ or the one that flows in; None after an unknown reference."""
    target = _Target(build, place, line)
    if inputs is None or any(v.type is ERROR for v in inputs):
        target.resolve()
        return _failed(place, line)
    callee = target.resolve()
    if callee is None:
        return _failed(place, line)
    if isinstance(callee, type):
        return _node(build, callee, target, place, inputs)
    return _call(build, callee, target, place, inputs)


def takes_input(build: BodyBuilder, line: Line, place: Place) -> bool:
    """False for operators such as `constant` that have no input."""
    cls = OPERATORS.get(line.op)
    return cls is None or cls.arity[1] != 0 or line.op in place.instance.spec.blocks


def _failed(place: Place, line: Line) -> Applied:
    return Applied(None, Slot(Value(ERROR, place.path, line.span)))


class _Target:
    """What the line's operator means, following arguments that hold operators, and all arguments given on the way."""

    def __init__(self, build: BodyBuilder, place: Place, line: Line) -> None:
        self.build, self.place, self.line = build, place, line
        self.instance: Instance = place.instance
        self.given: list[Given] = [Given(a, place.scope) for a in line.arguments]
        self.vanishes = False

    def resolve(self) -> type[Op] | Definition | Import | None:
        word, scope, span = self.line.op, self.place.scope, self.line.op_span
        for _ in range(16):
            found = scope.find(word)
            if found is None or found[0].kind not in ("argument", "let", "loop"):
                return self._named(word, span)
            value = found[0].value
            if value is ERROR:
                return None
            if value is None:
                return OPERATORS["identity"]
            if not isinstance(value, OperatorValue):
                self.build.report.add("unknown-op", f"`{word}` holds {value}, which is no operator", span)
                return None
            opened = self._open(value)
            if opened is None:
                return None
            word, scope = opened, value.scope
            self.instance = self.build.files.of_scope(scope)
            if scope.find(word) is found:
                break
        return self._named(word, span)

    def _open(self, value: OperatorValue) -> str | None:
        """The operator's word of a value; its own arguments go before those of the line."""
        if value.plain:
            return value.text
        found = SyntaxReport(self.build.files.of_scope(value.scope).source)
        line = parse_line(LineText(value.text, value.at.start + 1), found)
        self.build.files.findings.extend(found.diagnostics)
        if not isinstance(line, Line):
            return None
        self.given = [*(Given(a, value.scope) for a in line.arguments), *self.given]
        return line.op

    def _named(self, word: str, span: Span) -> type[Op] | Definition | Import | None:
        spec = self.instance.spec
        if word in spec.blocks:
            return spec.blocks[word]
        for wanted in spec.imports:
            if wanted.name == word:
                return wanted
        if word in OPERATORS:
            return OPERATORS[word]
        known = self.instance.names.all()
        message = f"there is no operator or block `{word}`"
        self.build.report.add("unknown-op", message, span, helps=(did_you_mean(word, [*known, *self.place.scope.names()]),))
        return None


def _with_own_input(place: Place, scope: Scope, inputs: tuple[Value, ...]) -> Scope:
    """A scope in which `x` is the statement's input."""
    return Scope(scope, {}, tensors=place.tensor_names(inputs[0] if inputs else None))


def _node(build: BodyBuilder, cls: type[Op], target: _Target, place: Place, inputs: tuple[Value, ...]) -> Applied:
    line = target.line
    names = (*cls.attributes, *cls.references)
    given = list(target.given)
    written = {g.argument.name for g in given}
    bound = bind(given, names, cls.name)
    for argument in place.instance.defaults.get(cls.name, ()):
        if argument.name in cls.attributes and argument.name not in bound.by_name and argument.name not in written:
            bound.by_name[argument.name] = Given(argument, place.instance.scope)
    ok = _complain(build, bound.complaints)
    for name in missing(bound, cls.attributes.values()):
        build.report.add("missing-argument", f"`{cls.name}` needs `{name}`: {cls.attributes[name].doc}", line.op_span)
        ok = False
    ok = _arity(build, cls, line, inputs) and ok
    values, sayings, spans = {}, {}, {}
    references: list[Value] = []
    for name, one in bound.by_name.items():
        spans[name] = one.argument.span
        if name in cls.references:
            value = _reference(build, one, place)
            ok = ok and value is not None
            references.extend([value] if value is not None else [])
            continue
        value = _attribute_value(build, cls, name, one, place, inputs)
        if value is ERROR:
            ok = False
            continue
        values[name] = value
        expression = said(one, cls.attributes[name].words)
        if expression is not None:
            sayings[name] = Said(expression.expr, _with_own_input(place, one.scope, inputs))
    if not ok or any(v.type is ERROR for v in references):
        return _failed(place, line)
    op = cls(**values)
    everything = (*inputs, *references)
    types = tuple(v.type for v in everything)
    if not check(build, op, types, line, spans):
        return _failed(place, line)
    found = _infer(build, op, types, line)
    if found is None:
        return _failed(place, line)
    outputs, slot = _outputs(op, found, place, line)
    node = Node(
        path=place.path, module=place.module, op=op, inputs=everything, outputs=outputs,
        said=sayings, spans=spans, span=line.span, statement=line,
    )  # fmt: skip
    window_findings(build.report, op, types, line.span, spans)
    return Applied(node, slot, feeds=cls.arity[1] != 0)


def _infer(build: BodyBuilder, op: Op, types: tuple[TensorType, ...], line: Line) -> tuple[TensorType, ...] | None:
    try:
        return op.outputs(*types)
    except TooComplex as error:
        build.report.add("too-complex", str(error), line.span, helps=("bind the symbols: --bind h=7",))
        return None


def _outputs(op: Op, types: tuple[TensorType, ...], place: Place, line: Line) -> tuple[tuple[Value, ...], Slot]:
    ports = op.ports()
    if len(types) == 1 and ports is None:
        value = Value(types[0], place.path, line.span)
        return (value,), Slot(value)
    names = ports or tuple(str(i) for i in range(len(types)))
    values = tuple(Value(t, f"{place.path}.{n}", line.span) for t, n in zip(types, names, strict=True))
    return values, Slot(values[0], dict(zip(names, values, strict=True)))


def _complain(build: BodyBuilder, complaints: list[tuple[str, str, Span, tuple[str, ...]]]) -> bool:
    for code, message, span, known in complaints:
        word = span.text.partition("=")[0]
        notes = (f"it takes {', '.join(known)}",) if known else ()
        build.report.add(code, message, span, helps=(did_you_mean(word, list(known)),), notes=notes)
    return not complaints


def _arity(build: BodyBuilder, cls: type[Op], line: Line, inputs: tuple[Value, ...]) -> bool:
    least, most = cls.arity
    if least <= len(inputs) and (most is None or len(inputs) <= most):
        return True
    wanted = f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most}"
    message = f"`{cls.name}` takes {wanted} input{'' if wanted == '1' else 's'}, not {len(inputs)}"
    helps = ("name its inputs: " + f"`{cls.name} @a @b`",) if least > len(inputs) else ()
    build.report.add("bad-arity", message, line.span, helps=helps)
    return False


def _reference(build: BodyBuilder, one: Given, place: Place) -> Value | None:
    """The tensor behind `of=@pool1` or `like=@c3`."""
    if not isinstance(one.argument.value, TensorRef):
        message = f"`{one.argument.name}` takes a tensor, written with @"
        build.report.add("bad-argument", message, one.argument.span)
        return None
    found = build.references(one.argument.value, place, explicit=False)
    return found[0] if found else None


def _attribute_value(
    build: BodyBuilder, cls: type[Op], name: str, one: Given, place: Place, inputs: tuple[Value, ...]
) -> Any:
    declared = cls.attributes[name]
    instance = build.files.of_scope(one.scope)
    scope = _with_own_input(place, one.scope, inputs)
    try:
        context = Context(scope, build.domain, declared.words)
        return convert(cls, declared, _no_operator(evaluate(one.argument.value, context), declared.words))
    except Silenced:
        return ERROR
    except ExprError as error:
        build.files.report_expression(error, instance.source)
    except BadValue as error:
        near = _near_word(one.argument, declared.words)
        build.report.add("bad-argument", str(error), one.argument.span, helps=(near,), notes=(f"`{name}`: {declared.doc}",))
    return ERROR


def _no_operator(value: Any, words: tuple[str, ...]) -> Any:
    return value.text if isinstance(value, OperatorValue) else value


def _near_word(argument: Argument, words: tuple[str, ...]) -> str | None:
    return did_you_mean(argument.span.text.rpartition("=")[2], list(words)) if words else None


def check(build: BodyBuilder, op: Op, types: tuple[TensorType, ...], line: Line, spans: dict[str, Span]) -> bool:
    """Run an operator's own check, placing what it finds; True when it found nothing."""
    ok = True
    try:
        for finding in op.check(*types):
            if isinstance(finding, Require):
                verdict = build.domain.require(finding.size, finding.at_least)
                if verdict.holds:
                    continue
                finding = finding.problem
            ok = False
            _report_problem(build, op, finding, types, line, spans)
    except TooComplex as error:
        build.report.add("too-complex", str(error), line.span, helps=("bind the symbols: --bind h=7",))
        return False
    return ok


def _report_problem(
    build: BodyBuilder, op: Op, problem: Problem, types: tuple[TensorType, ...], line: Line, spans: dict[str, Span]
) -> None:
    span, secondary = line.span, ()
    if isinstance(problem.at, str) and problem.at in spans:
        span = spans[problem.at]
    elif isinstance(problem.at, int) and line.inputs and problem.at < len(line.inputs):
        ref = line.inputs[problem.at]
        span = Span(line.span.source, ref.start, ref.end)
        labels = zip(line.inputs, types, strict=False)
        secondary = tuple(
            Label(Span(line.span.source, r.start, r.end), str(t)) for i, (r, t) in enumerate(labels) if i != problem.at
        )
    label = str(types[problem.at]) if isinstance(problem.at, int) and problem.at < len(types) else ""
    helps = (*problem.helps, *_verified(op, problem, types))
    build.report.add(problem.code, problem.message, span, label=label, secondary=secondary, notes=problem.notes, helps=helps)


def _verified(op: Op, problem: Problem, types: tuple[TensorType, ...]) -> list[str]:
    """Suggestions that were tried: each passes the operator's check."""
    good = []
    for candidate in problem.candidates:
        changed = op.replace(**dict(candidate))
        if not any(isinstance(f, Problem) for f in changed.check(*types)):
            words = " ".join(f"{k}={_written(v)}" for k, v in candidate)
            good.append(f"`{words}` fits (gives {changed.outputs(*types)[0]})")
    return good


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if len(set(value)) == 1 else f"({' '.join(map(str, value))})"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _call(
    build: BodyBuilder, callee: Definition | Import, target: _Target, place: Place, inputs: tuple[Value, ...]
) -> Applied:
    line = target.line
    definition, variant = callee, None
    if isinstance(callee, Import):
        spec = build.files.imported(callee, target.instance.spec)
        if spec is None:
            return _failed(place, line)
        variant = build.files.variant(spec, callee.variant, callee.span)
        if callee.variant and variant is None:
            return _failed(place, line)
        definition = spec
    assert isinstance(definition, Definition)
    names = tuple(p.name for p in definition.parameters)
    bound = bind(target.given, names, line.op)
    ok = _complain(build, bound.complaints)
    if not isinstance(callee, Import):
        for name in missing(bound, definition.parameters):
            build.report.add("missing-argument", f"`{line.op}` needs `{name}`", line.op_span)
            ok = False
    values = {n: _argument_value(build, g, place, inputs) for n, g in bound.by_name.items()}
    if not ok or ERROR in values.values():
        return _failed(place, line)
    sayings = {
        n: Said(g.argument.value, _with_own_input(place, g.scope, inputs)) for n, g in bound.by_name.items() if said(g)
    }
    spans = {n: g.argument.span for n, g in bound.by_name.items()}
    frame = Frame(definition.name, line.span, place.path)
    types = tuple(v.type for v in inputs)
    if isinstance(definition, SpecFile):
        instance = build.files.instance(definition, variant, values)
        block = build.compiler.block(definition, instance, dict(instance.arguments), types, frame)
    else:
        values = _with_defaults(build, definition, values, target.instance)
        if ERROR in values.values():
            return _failed(place, line)
        block = build.compiler.block(definition, target.instance, values, types, frame)
    if block is None:
        return _failed(place, line)
    outputs = tuple(_call_output(o.name, o.value.type, place, line, len(block.enabled())) for o in block.enabled())
    draft = CallDraft(
        path=place.path, module=place.module, block=block, inputs=inputs, outputs=outputs, said=sayings, spans=spans,
        span=line.span, statement=line, imported=isinstance(callee, Import), shared=place.path != place.module,
    )  # fmt: skip
    ports = {o.name: v for o, v in zip(block.enabled(), outputs, strict=True)}
    return Applied(draft, Slot(outputs[0] if outputs else None, ports, draft))


def _call_output(name: str, type: TensorType, place: Place, line: Line, count: int) -> Value:
    return Value(type, place.path if count == 1 else f"{place.path}.{name}", line.span)


def _argument_value(build: BodyBuilder, one: Given, place: Place, inputs: tuple[Value, ...]) -> Any:
    instance = build.files.of_scope(one.scope)
    return build.files.value(one.argument.value, instance, _with_own_input(place, one.scope, inputs))


def _with_defaults(build: BodyBuilder, definition: Definition, values: dict[str, Any], instance: Instance) -> dict[str, Any]:
    """All of a block's arguments in the order of its signature; defaults are read in the block's file."""
    full = {}
    for parameter in definition.parameters:
        if parameter.name in values:
            full[parameter.name] = values[parameter.name]
        elif parameter.default is not None:
            full[parameter.name] = build.files.value(parameter.default, instance, instance.scope)
    return full


def block_key(definition: Definition, instance: Instance, values: dict[str, Any], types: tuple[TensorType, ...]) -> Any:
    """Equal for calls that may share one block."""
    plain = tuple((k, _argument_key(v)) for k, v in values.items())
    return (id(definition), id(instance.scope), plain, types)


def _argument_key(value: Any) -> Any:
    if isinstance(value, OperatorValue):
        return (value.text, id(value.scope))
    if isinstance(value, tuple):
        return tuple(_argument_key(v) for v in value)
    return value_key(value)


