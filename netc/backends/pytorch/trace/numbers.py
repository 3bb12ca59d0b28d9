"""What a block gives its operators and the blocks that it calls: every number, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from netc.backends.pytorch import tree
from netc.backends.pytorch.trace.flow import Flow
from netc.backends.pytorch.trace.forms import factory_of
from netc.backends.pytorch.trace.lift import agreed, inferred, listed, owned, printed_values, term_of, unsaid
from netc.backends.pytorch.trace.read import Reader
from netc.backends.pytorch.tree import Hole
from netc.backends.pytorch.tree.instance import Instance, Sizes
from netc.backends.pytorch.tree.number import LONGEST_DERIVED, NOTHING, Number, depends_of, of, translated
from netc.expr.scope import Provenance, Scope
from netc.expr.terms import cost, is_plain, lit, substitute
from netc.expr.tree import Expr, Name
from netc.expr.values import OperatorValue
from netc.ir.model import Call, Node, Value
from netc.ops.base import NUMBERS
from netc.ops.records import TorchArg, TorchModule, TorchTensor
from netc.syntax.ast import Alias, Definition, Line, SpecFile, Statement
from netc.types import FLOATS


class Numbers:
    """Of one block; `around` are those of the block that it was cut out of."""

    def __init__(self, instance: Instance, flow: Flow, around: Numbers | None) -> None:
        self.instance, self.flow, self.around = instance, flow, around
        self.reader: Reader = Reader(instance, None if around is None else around.reader)
        self._attributes: dict[Node, dict[str, Number]] = {}
        self._owners: dict[str, Node] = {}
        self._computed: dict[Node, dict[str, Any]] = {}

    def infer(self, node: Node) -> None:
        """Reads an operator's attributes, and infers the sizes of what it makes."""
        sizes = self.instance.sizes
        attributes = self._read_attributes(node)
        if attributes:
            unseen = unsaid(node, attributes, self.flow.forms.of(node))
            self.instance.structural |= set(self.instance.bases(unseen))
        self._owners.setdefault(node.module, node)
        found = inferred(node, attributes, [sizes[v] for v in node.inputs], self.reader)
        sizes.update(zip(node.outputs, found, strict=True))

    def sizes_of_tensor(self, module: str, tensor: TorchTensor, value: Value) -> Sizes:
        """The sizes of a tensor that another statement owns."""
        owner = self._owners[module]
        before = [self.instance.sizes[v] for v in owner.inputs]
        found = owned(owner, self._attributes[owner], before, self.reader).get(tensor.name, ())
        return agreed(found, value.type.shape, self.instance.everything)

    def holes(self, node: Node, args: Sequence[TorchArg], typed: bool = False) -> tuple[Hole, ...]:
        here, path = self.instance.here(), self.instance.local(node.path)
        holes = [Hole(path, a.name, ((here, self._printed(node, a)),), a.keyword, a.omit) for a in args]
        if typed:
            seen = ((here, _typed(self.flow.forms.dtype(node))),)
            holes.append(Hole(path, "dtype", seen, True, tree.Dtype("float32")))
        return tuple(holes)

    def _printed(self, node: Node, arg: TorchArg) -> Number:
        """What one argument of a node's PyTorch form is and how it is said."""
        attributes = self._attributes[node]
        if arg.attribute is not None:
            source = attributes.get(arg.attribute)
            if source is None:
                return self.flow.forms.given(arg)
            return Number(arg.value, listed(source.term, arg.value, self.reader), source.depends, True)
        if arg.axis is not None:
            position, axis = arg.axis
            size = self.instance.sizes[node.inputs[position]][axis]
            return msgspec.structs.replace(size, value=arg.value)
        depends = depends_of(*(attributes[a] for a in arg.depends if a in attributes))
        if not depends:
            return of(arg.value)
        if node not in self._computed:
            self._computed[node] = printed_values(node, attributes, self.reader)
        term = term_of(self._computed[node].get(arg.name))
        return Number(arg.value, term if self.reader.value(term) == arg.value else None, depends)

    def _read_attributes(self, node: Node) -> dict[str, Number]:
        """The attributes of an operator that hang on a name; the others are what they are."""
        self.instance.structural |= self.statement_names(node.statement)
        found: dict[str, Number] = {}
        for name, said in node.said.items():
            known = self.reader.read(said)
            if known.depends:
                known = self._element(node, name, known)
                found[name] = Number(getattr(node.op, name), known.term, known.depends, True)
        self._attributes[node] = found
        return found

    def _element(self, node: Node, name: str, known: Number) -> Number:
        """An attribute that meets the elements of real tensors may be a fraction for other arguments: there it is said
        with its divisions as they are."""
        kind, x = node.op.attributes[name].kind, node.inputs
        if kind not in NUMBERS or (kind.startswith("Scalar") and not (x and x[0].type.dtype in FLOATS)):
            self.instance.whole |= known.depends
        elif type(getattr(node.op, name)) in (int, float):
            return Number(known.value, self.reader.real(node.said[name]), known.depends, True)
        return known

    def make(self, node: Node, form: TorchModule) -> tree.Make:
        holes = self.holes(node, form.args, typed=not form.make and self.flow.forms.is_kept(node))
        plain = self.flow.forms.bare(form)
        found = self.held(node.statement)
        if found is None:
            return tree.Make(plain, holes)
        full = self.flow.forms.of(node).module
        if found.value is None or full is None or form.call != "{self}({*})":
            return tree.Make(plain, holes, self.operator(found, None, ()) if found.value is None else None)
        pairs = list(zip(full.args, self.holes(node, full.args), strict=True))
        site = tuple(hole for arg, hole in pairs if arg.axis is not None)
        return tree.Make(plain, holes, self.operator(found, factory_of(full), site))

    def held(self, statement: Statement) -> Number | None:
        """The argument that holds a statement's operator, if one does."""
        if not isinstance(statement, Line) or self.instance.block.scope.find(statement.op) is None:
            return None
        binding, home = self.instance.block.scope.find(statement.op) or (None, None)
        if binding is None or home is None or binding.kind != "argument" or self.instance.outer is not None:
            return None
        if binding.value is not None and not isinstance(binding.value, OperatorValue):
            return None
        number = self.instance.argument(statement.op, binding.value, home.owner)
        return number if number.depends else None

    def operator(self, held: Number, factory: tree.Factory | None, site: tuple[Hole, ...]) -> tree.Operator:
        """The operator of an argument, which has that value wherever the argument is used."""
        (key,) = held.depends
        known = self.instance.env.get(key)
        if isinstance(known, OperatorValue):
            self.instance.env[key] = known = factory
        term = Name(id=key) if known == factory else None
        number = Number(factory, term, held.depends, author=True)
        return tree.Operator(Hole(key, "operator", ((self.instance.here(), number),)), site)

    def statement_names(self, statement: Statement) -> frozenset[str]:
        """Names in the operator and the references of a line: they decide what it is and what it reads."""
        refs = statement.refs if isinstance(statement, Alias) else ()
        if isinstance(statement, Line):
            refs = statement.inputs or ()
        said = [part for ref in refs for part in ref.parts if isinstance(part, Expr)]
        found = depends_of(*(self.reader.read(Provenance(part, self.instance.block.scope)) for part in said))
        scope = self.instance.block.scope
        if isinstance(statement, Line) and scope.find(statement.op) is not None and self.held(statement) is None:
            found |= self.reader.read(Provenance(Name(id=statement.op), scope)).depends
        return frozenset(name for name in found if name[0] not in "$~")

    def bindings(self, call: Call, callee: Instance) -> Iterator[tuple[str, Number]]:
        """What each name of the callee is here."""
        definition = call.block.definition
        home = _file_scope(call.block.scope)
        for parameter in definition.parameters:
            value = call.block.arguments.get(parameter.name)
            said = call.said.get(parameter.name)
            filled = said is None and parameter.name not in call.spans and not isinstance(definition, SpecFile)
            if filled and parameter.default is not None and home is not None:
                said = Provenance(parameter.default, home)
            yield (
                parameter.name,
                self._bound(value, said, callee.env.get(parameter.name), real=parameter.name not in callee.whole),
            )
        for key, (position, axis) in callee.roles.items():
            yield key, self.instance.sizes[call.inputs[position]][axis]
        for key, name in callee.files.items():
            yield key, self.file_value(definition, name, callee.env[key])

    def guards(self, call: Call, callee: Instance, bound: Mapping[str, Number]) -> Iterator[tuple[str, Number]]:
        """The conditions within a callee as conditions here."""
        for name, (held, depends) in callee.guards.items():
            here = translated(depends, bound)
            if here:
                key = self.instance.guard(f"{self.instance.local(call.path)}{name}", held, here)
                yield name, Number(held, None, frozenset((key,)))

    def _bound(self, value: Any, said: Provenance | None, held: Any, *, real: bool) -> Number:
        if isinstance(value, OperatorValue) and isinstance(held, tree.Factory):
            value = held
        if said is None:
            return Number(value, lit(value) if is_plain(value) or value is held else None, NOTHING, True)
        found = self.reader.read(said)
        term = self.reader.real(said) if real and type(value) is int and found.depends else found.term
        return Number(value, term, found.depends, True)

    def file_value(self, callee: Definition, name: str, value: Any) -> Number:
        """A file's argument or value that a block of it uses: from its own file it is passed on."""
        here, owner = self.instance.block.definition, callee.file
        if owner is None or (owner is not here and owner is not here.file):
            return of(value)
        if self.around is not None:
            return self.instance.imported(self.around.file_value(callee, name, value))
        found = self.instance.block.scope.find(name)
        if found is not None and found[0].kind == "let" and found[1].owner is here:
            return self.reader.let(name, found[0], here)
        return self.instance.argument(name, value, owner)

    def moved(self, size: Number, bound: Mapping[str, Number]) -> Number:
        """A callee's size in the names here."""
        term = size.term
        if term is not None:
            term = substitute(term, lambda n: bound[n].term if n in bound else None)
        if term is not None and cost(term) > LONGEST_DERIVED:
            term = None
        return Number(size.value, term, translated(size.depends, bound))


@cache
def _typed(dtype: str) -> Number:
    """The type of a module's numbers as an argument."""
    found = tree.Dtype(dtype)
    return Number(found, lit(found))


def _file_scope(scope: Scope | None) -> Scope | None:
    while scope is not None and not isinstance(scope.owner, SpecFile):
        scope = scope.parent
    return scope
