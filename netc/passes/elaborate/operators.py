"""Applies an operator: binds its attributes, runs its check, infers its outputs, and places whatever is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from netc.budget import ATTRIBUTE, LEAF, TENSOR, spend
from netc.diagnostics.model import Fault, Label, Span
from netc.diagnostics.suggest import closest
from netc.dims import Dim, TooComplex
from netc.expr.evaluate import Context, ExprError, OperatorValue, Silenced, evaluate
from netc.expr.scope import Scope, how_said
from netc.expr.tree import Attribute, Expr, Literal, Name, TensorRef, dotted, walk
from netc.expr.values import count_of
from netc.ir.flat import join
from netc.ir.model import Node, Value
from netc.lazy import LazyModule
from netc.ops.base import Attr, BadValue, Op
from netc.ops.conversion import convert
from netc.ops.records import Problem, Require
from netc.ops.target import tensors_with
from netc.passes.elaborate.application import Application
from netc.passes.elaborate.arguments import Bound, ScopedArgument, bind, is_plain, missing
from netc.passes.elaborate.collector import Clue
from netc.passes.elaborate.namespace import AliasedValue, NameEntry, Namespace
from netc.passes.elaborate.place import Applied, failed
from netc.passes.elaborate.provenance import explain
from netc.passes.elaborate.reading import Resolver
from netc.passes.elaborate.target import Target, arguments_meant, complain, has_bare_tensors
from netc.passes.elaborate.windows import window_findings
from netc.types import ERROR, FLOATS, NONE, TensorType

if TYPE_CHECKING:
    from netc.passes.elaborate import advice, habits
else:
    advice = LazyModule("netc.passes.elaborate.advice")
    habits = LazyModule("netc.passes.elaborate.habits")


SWITCHES = ("yes", "no", "on", "off")
"""Words of YAML's that stand for true and false in other files."""


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple) else (value,)


class NodeMaker(Application):
    """Makes the node of an operator applied to its inputs; `make` collects everything wrong before it gives up."""

    def __init__(
        self, resolver: Resolver, cls: type[Op], target: Target, inputs: tuple[Value, ...], *, open: bool = False
    ) -> None:
        super().__init__(resolver, cls, target, inputs, open=open)
        self._scopes: dict[Scope, Scope] = {}
        self.undone: Node | None = None
        self.ok = True

    def make(self) -> Applied:
        if has_bare_tensors(self.report, self.place, self.line, self.cls.attributes.values()):
            return failed(self.place, self.line)
        spend(ATTRIBUTE * len(self.cls.attributes))
        bound = self._bind()
        sure = self.ok
        sound = not [v for v in self.inputs if v.type is ERROR]
        if sound:
            self._check_arity()
        for name, scoped in bound.by_name.items():
            self.spans[name] = scoped.argument.span
            if not sure and scoped.argument.name is None:
                continue
            if name in self.cls.references:
                self._reference(name, scoped)
            else:
                self._attribute(self.cls.attributes[name], scoped)
        if self.undone is not None:
            self._take_over(self.undone)
        self._follow_dtype()
        if not self.ok or not sound or (self.given and any(v.type is ERROR for v in self.references)):
            return failed(self.place, self.line)
        return self._apply(self.cls(**self.values).complete())

    def _bind(self) -> Bound:
        """The line's own arguments, then the file's `defaults` for what it left open."""
        cls, names = self.cls, self.cls.arguments
        told = [scoped.argument.name for scoped in self.target.given]
        if cls.alone and told.count(None) == 1 and cls.alone not in told:
            names = tuple(dict.fromkeys((cls.alone, *names)))
        bound = bind(self.target.given, names, cls.name)
        if bound.complaints:
            complain(self.report, bound.complaints, Clue((*habits.one_less(self), *habits.in_parentheses(self))))
            self.ok = False
        for argument in self.place.instance.defaults.get(cls.name, ()):
            if argument.name in cls.attributes and argument.name not in bound.by_name:
                bound.by_name[argument.name] = ScopedArgument(argument, self.place.instance.scope)
        meant = arguments_meant(bound.complaints) if bound.complaints else ()
        for name in [name for name in missing(bound, cls.required) if name not in meant]:
            message = f"`{cls.name}` needs `{name}`: {cls.attributes[name].doc}"
            self.report.error("missing-argument", message, self.line.op_span)
            self.ok = False
        return bound

    def _check_arity(self) -> None:
        least, most = self.cls.arity
        least = 1 if self.open else least
        count = len(self.inputs)
        if least <= count and (most is None or count <= most):
            return
        takes = f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most}"
        message = f"`{self.cls.name}` takes {takes} input{'' if takes == '1' else 's'}, not {count}"
        helps = (f"name its inputs: `{self.cls.name} @a @b`",) if least > count else ()
        self.report.error("bad-arity", message, self.line.span).help(*helps)
        self.ok = False

    def _reference(self, name: str, scoped: ScopedArgument) -> None:
        """The tensor behind `of=@pool1` or `like=@c3`; `attn_mask=none` says that there is none."""
        value = scoped.argument.value
        if isinstance(value, Literal) and value.value is None:
            return
        if not isinstance(scoped.argument.value, TensorRef):
            message = f"`{name}` takes a tensor, written with @"
            clue = Clue((*habits.tensor_meant(self, scoped), *habits.in_parentheses(self)))
            self.report.error("bad-argument", message, scoped.argument.span).clue(clue)
            self.ok = False
            return
        values = self.resolver.references(scoped.argument.value, self.place, explicit=None)
        self.ok = self.ok and bool(values)
        if values and values[0].type is NONE:
            return
        if values and self.cls.undoes and values[0].type is not ERROR:
            self._undo(values[0], scoped)
        else:
            self._pass(scoped, values[:1])

    def _undo(self, value: Value, scoped: ScopedArgument) -> None:
        """Take over what the operator named by `of` says and knows."""
        origin = self._origin(value, self.place.names)
        node, extras = origin if origin is not None else (None, ())
        if node is None or node.op.name != self.cls.undoes:
            maker = f"`{value.path}` comes from {f'a {node.op.name}' if node else 'outside'}"
            message = f"`{scoped.argument.name}` must name the {self.cls.undoes} to undo; {maker}"
            self.report.error("bad-argument", message, scoped.argument.span)
            self.ok = False
            return
        if len(node.outputs) < 2:
            message = f"`{value.path}` has no indices: its padding is `same` or differs between the two ends"
            self.report.error("bad-argument", message, scoped.argument.span)
            self.ok = False
            return
        self.undone = node
        self._pass(scoped, extras)

    def _pass(self, scoped: ScopedArgument, values: Sequence[Value]) -> None:
        """Tensors that come after the inputs; where there is an attribute of that name it says so."""
        name = str(scoped.argument.name)
        self.given[name] = tuple(values)
        if name in self.cls.attributes:
            self.values[name] = True

    def _origin(self, value: Value, names: Namespace) -> tuple[Node, tuple[Value, ...]] | None:
        """The operator whose first output a tensor is, here or in a block called; its other outputs and its input."""
        node = self.session.provenance.nodes.get(value)
        if node is not None:
            return (node, (*node.outputs[1:], *node.inputs[:1])) if value is node.outputs[0] else None
        spend(LEAF * len(names.entries))
        for site in [entry.call for entry in names.entries.values() if entry.call is not None]:
            inner = site.inside(value)
            origin = None if inner is None else self._origin(inner, site.callee.names)
            if origin is not None:
                return origin[0], tuple([site.reach(v) for v in origin[1]])
        return None

    def _take_over(self, undone: Node) -> None:
        """Settings of the operator that is undone, where the line does not give them."""
        own = undone.outputs[0] in self.resolver.own
        op, said_there = undone.op, undone.said if own else {}
        for name in [n for n in self.cls.attributes if n in op.attributes and n not in self.values]:
            self.values[name] = getattr(op, name)
            if name in said_there:
                self.said[name] = said_there[name]

    def _follow_dtype(self) -> None:
        """A tensor whose line names no type has that of the whole compile."""
        declared, asked = self.cls.attributes.get("dtype"), self.session.dtype
        if declared is not None and declared.default in FLOATS and asked is not None:
            self.values.setdefault("dtype", asked)

    def _attribute(self, declared: Attr, scoped: ScopedArgument) -> None:
        expr = scoped.argument.value
        value: Any = None
        try:
            value = self._value(expr, declared, scoped.scope)
            if isinstance(value, tuple):
                spend(count_of(value))
            self.values[declared.name] = convert(self.cls, declared, value)
        except Silenced:
            self.ok = False
        except ExprError as error:
            self.ok = False
            if not self._is_no_word(declared, scoped, error):
                self.resolver.files.report_expression(error, self.resolver.files.source_of(scoped.scope))
        except BadValue as error:
            self.ok = False
            self._report_value(declared, scoped, value, str(error))
        if not is_plain(expr, declared.words):
            self.said[declared.name] = how_said(expr, self._scope(scoped.scope))

    def _value(self, expr: Expr, declared: Attr, scope: Scope) -> Any:
        if type(expr) is Literal and type(expr.value) is int:
            return expr.value
        value = evaluate(expr, Context(self._scope(scope), self.session.domain, declared.words))
        return value.text if isinstance(value, OperatorValue) else value

    def _scope(self, scope: Scope) -> Scope:
        """The scope in which an argument is read, where `x` is the statement's input."""
        if scope not in self._scopes:
            self._scopes[scope] = self.place.beside(scope, self.inputs)
        return self._scopes[scope]

    def _is_no_word(self, declared: Attr, scoped: ScopedArgument, error: ExprError) -> bool:
        """Whether an unknown name stands where the operator takes one of a few words; that is what is reported then."""
        word = scoped.argument.value
        if (
            error.code != "unknown-name"
            or not isinstance(word, Name)
            or not (declared.words or declared.kind == "bool")
        ):
            return False
        word_like = word.id.lower() in SWITCHES or closest(word.id, declared.words) is not None
        if not word_like and closest(word.id, self.place.scope.names()) is not None:
            return False
        try:
            convert(self.cls, declared, word.id)
        except BadValue as wrong:
            self._report_value(declared, scoped, word.id, str(wrong))
            return True
        return False

    def _report_value(self, declared: Attr, scoped: ScopedArgument, value: Any, message: str) -> None:
        numbers = all(isinstance(one.value, Literal) for one in self.line.arguments if one.name is None)
        fixes = (*habits.one_less(self), *(habits.in_parentheses(self) if numbers else ()))
        clue = Clue((*fixes, *habits.values_meant(self, declared, scoped, value)))
        at = Span(scoped.argument.span.source, scoped.argument.value.start, scoped.argument.value.end)
        error = self.report.error("bad-argument", message, at).note(f"`{declared.name}`: {declared.doc}").clue(clue)
        if self.cls.for_open_sizes and any(isinstance(size, Dim) for size in _items(value)):
            error.help(self.cls.for_open_sizes)

    def _find_sizes(self, op: Op) -> None:
        """Pass tensors that have the sizes which the operator is given and its inputs lack: those that the line's own
        expressions name, else inputs of the block."""
        if "like" in self.cls.references and "like" not in self.given:
            sought = op.sizes_sought(*(v.type for v in self.inputs))
            values = tensors_with(sought, list(self._sized()), lambda value: value.type.shape) if sought else ()
            self.given["like"] = tuple([value for value in values if value not in self.inputs])

    def _sized(self) -> Iterator[Value]:
        """Tensors whose sizes the line's attributes may speak of: those named, the statement's own, the block's."""
        paths = [path for said in self.said.values() for path in _tensors_named(said.expr)]
        for path in dict.fromkeys(paths):
            if path == "x" or self.place.scope.tensor(path) is None:
                continue
            yield from self.resolver.references(TensorRef(parts=(path,)), self.place, explicit=None)
        yield from dict.fromkeys((*self.inputs, *self.place.names.inputs.values()))

    def _apply(self, op: Op) -> Applied:
        try:
            self._find_sizes(op)
            inputs = self.operands
            types = tuple([value.type for value in inputs])
            if not self._check(op, types):
                return failed(self.place, self.line)
            if op.is_identity(*types):
                many = isinstance(op.infer(*types), tuple)
                same = AliasedValue(inputs[0].type, self.place.path, self.line.span, inputs[0])
                return Applied(None, NameEntry(same, {"0": same} if many else {}))
            outputs, entry = self._outputs(op, op.outputs(*types))
        except TooComplex as error:
            self.report.error("too-complex", str(error), self.line.span).help("bind the symbols: --bind h=7")
            return failed(self.place, self.line)
        except Fault as fault:
            (diagnostic,) = fault.diagnostics
            self.report.error(diagnostic.code, diagnostic.message, self.line.span).note(*diagnostic.notes)
            return failed(self.place, self.line)
        if not (self.cls.follows[0] and self.target.given and habits.takes_for_another(self, op)):
            window_findings(self.report, op, types, self.line, self.spans)
        node = Node(
            path=self.place.path, module=self.place.module, op=op, inputs=inputs, outputs=outputs,
            said=self.said, spans=self.spans, span=self.line.span, statement=self.line, outer=self.place.outer,
        )  # fmt: skip
        for value in outputs:
            self.session.provenance.nodes[value] = node
            self.resolver.own.add(value)
        return Applied(node, entry, feeds=self.cls.arity[1] != 0)

    def _outputs(self, op: Op, types: tuple[TensorType, ...]) -> tuple[tuple[Value, ...], NameEntry]:
        spend(sum([TENSOR + len(type_.shape) for type_ in types]))
        path, span = self.place.path, self.line.span
        ports = op.ports()
        if len(types) == 1 and ports is None:
            value = Value(types[0], path, span)
            return (value,), NameEntry(value)
        names = ports or tuple(str(i) for i in range(len(types)))
        values = tuple(Value(t, join(path, n), span) for t, n in zip(types, names, strict=True))
        return values, NameEntry(values[0], {n: v for n, v in zip(names, values, strict=True) if n})

    def _check(self, op: Op, types: tuple[TensorType, ...]) -> bool:
        """Run the operator's own check, placing what it finds; True when it found nothing.

        What one attribute or input does to both H and W is one finding.
        """
        reported = set()
        for finding in op.problems(*types):
            if isinstance(finding, Require):
                if self.session.domain.require(finding.size, finding.at_least).holds:
                    continue
                finding = finding.problem
            if finding.code == "bad-arity" and self.open:
                continue
            if (finding.code, finding.at) not in reported:
                reported.add((finding.code, finding.at))
                self._report(op, finding, types)
        return not reported

    def _report(self, op: Op, problem: Problem, types: tuple[TensorType, ...]) -> None:
        span, label, secondary = self._places(problem, types)
        clue = advice.Advice(self, op, problem).clue()
        finding = self.report.error(problem.code, problem.message, span).label(label).also(*secondary)
        finding.note(*problem.notes).help(*problem.helps).clue(clue)
        if problem.clash is not None:
            finding.note(*explain(self.operands, problem.clash, self.session.provenance, span.source))

    def _places(self, problem: Problem, types: tuple[TensorType, ...]) -> tuple[Span, str, tuple[Label, ...]]:
        if isinstance(problem.at, str):
            return self.spans.get(problem.at, self.line.span), "", ()
        refs = self.line.inputs or ()
        if problem.at is not None and problem.at >= len(self.inputs):
            names = [name for name in self.cls.references for _ in self.given.get(name, ())]
            return self.spans.get(names[problem.at - len(self.inputs)], self.line.span), "", self._origins()
        if problem.at is None or problem.at >= len(refs) or len(refs) != len(self.inputs):
            return self.line.span, "", ()
        marks = [
            Label(Span(self.line.span.source, ref.start, ref.end), str(type))
            for ref, type in zip(refs, types, strict=False)
        ]
        own = marks.pop(problem.at)
        return own.span, own.text, (*marks, *self._origins())

    def _origins(self) -> tuple[Label, ...]:
        """Where each input comes from, when that is another line of the same file."""
        own = self.line.span
        origins = {
            (v.span.start, v.span.end, str(v.type)): Label(v.span, f"{v.type} comes from here")
            for v in self.inputs
            if v.span.source is own.source and (v.span.start, v.span.end) != (own.start, own.end)
        }
        return tuple(origins.values())


def _tensors_named(expr: Expr) -> Iterator[str]:
    """The tensors whose sizes an expression reads: `c2` of `2*c2.H`."""
    paths = (dotted(part.base) for part in walk(expr) if isinstance(part, Attribute))
    yield from (path for path in paths if path is not None)
