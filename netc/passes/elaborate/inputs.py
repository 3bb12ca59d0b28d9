"""The declared inputs of the file that is compiled, with symbols as they are written or bound to numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from netc.diagnostics.model import Span
from netc.diagnostics.suggest import closest, in_order
from netc.dims import Size, bind, dim_text, symbol
from netc.dims import symbols as symbols_of
from netc.expr.evaluate import ExprError, evaluate, size_or_error
from netc.expr.scope import Binding
from netc.expr.tree import Expr, Literal, Name, names_in
from netc.ir.model import Value
from netc.lazy import LazyModule
from netc.literals import literal
from netc.passes.elaborate.files import FileInstance
from netc.passes.elaborate.session import CompileSession
from netc.syntax.ast import Input
from netc.types import DTYPES, ERROR, FLOATS, TensorType

if TYPE_CHECKING:
    from netc.passes.elaborate import sizing
else:
    sizing = LazyModule("netc.passes.elaborate.sizing")


class Inputs:
    """Reads the inputs that a file declares."""

    def __init__(self, session: CompileSession, instance: FileInstance) -> None:
        self.report, self.files, self.domain, self.dtype = session.report, session.files, session.domain, session.dtype
        self.instance, self.spec = instance, instance.spec

    def values(self, bound: dict[str, int]) -> tuple[Value, ...]:
        """The inputs. bound: numbers for symbols, and for axes by their letters."""
        shapes = [self._declared_shape(declared) for declared in self.spec.inputs or ()]
        symbols = {name for shape in shapes for size in shape for name in symbols_of(size)}
        if not bound.keys() <= symbols:
            bound = self._bound(bound, shapes)
        values = []
        for declared, sizes in zip(self.spec.inputs or (), shapes, strict=True):
            pairs = zip(sizes, declared.shape or (), strict=False)
            shape = [self._positive(bind(size, bound), expr) for size, expr in pairs]
            complete = len(shape) == len(declared.shape or ()) and declared.dtype in DTYPES
            if declared.dtype not in DTYPES:
                self.report.error("bad-argument", f"the dtype must be one of {', '.join(DTYPES)}", declared.span)
            dtype = self.dtype if self.dtype and declared.dtype in FLOATS else declared.dtype
            values.append(Value(TensorType(tuple(shape), dtype) if complete else ERROR, declared.name, declared.span))
        for name in sorted(symbols):
            self.instance.scope.bindings.setdefault(name, Binding("symbol", bound.get(name, symbol(name))))
        self._unknown_bindings(bound, symbols)
        return tuple(values)

    def _declared_shape(self, declared: Input) -> tuple[Size, ...]:
        """The sizes of an input as they are written, up to the first that has no value."""
        shape: list[Size] = []
        for axis, expr in enumerate(declared.shape or ()):
            size = self.files.attempt(partial(self._size, expr, axis), self.instance.source)
            if size is ERROR:
                break
            shape.append(size)
        return tuple(shape)

    def _bound(self, bind: dict[str, int], shapes: list[tuple[Size, ...]]) -> dict[str, int]:
        """Numbers for symbols, where numbers of axes are given too."""
        try:
            return sizing.for_symbols(bind, shapes)
        except sizing.Unfit as unfit:
            self.report.error("bad-argument", f"--size: {unfit}", None, path=self.spec.path)
            return {}

    def _size(self, expr: Expr, axis: int) -> Any:
        if isinstance(expr, Literal) and type(expr.value) is int and expr.value >= 1:
            return expr.value
        scope = self.instance.scope
        for name in names_in(expr):
            if len(name) == 1 and scope.find(name) is not None:
                message = f"`{name}` is an argument or a `let`, so it cannot be a symbol in a size"
                raise ExprError(
                    "ambiguous-name", message, expr, "give it a longer name: a single letter in a size is a symbol"
                )
        letter = "Nchwdabe"[axis % 8]
        free = f"a size that may vary is a single letter: `{letter}`"
        names = scope.names()
        if isinstance(expr, Name) and len(expr.id) > 1 and closest(expr.id, names) is None and expr.id not in names:
            raise ExprError("unknown-name", f"`{expr.id}` is not an argument of this file", expr, free, letter)
        size = evaluate(expr, self.files.context(scope, self.instance, symbols=True))
        if size is None or size == -1:
            message = f"a size must be an integer or a symbol, not {literal(size)}"
            raise ExprError("bad-argument", message, expr, free, letter)
        return size_or_error(size, expr)

    def _positive(self, size: Size, expr: Expr) -> Size:
        """The size, reported where it is not at least 1; a symbolic one raises the bounds of its symbols."""
        verdict = self.domain.require(size, 1)
        if not verdict.holds and not verdict.too_complex:
            span = Span(self.instance.source, expr.start, expr.end)
            self.report.error("bad-argument", f"a size must be at least 1, not {dim_text(size)}", span)
        return size

    def _unknown_bindings(self, bound: dict[str, int], symbols: set[str]) -> None:
        unknown = [name for name in bound if name not in symbols]
        if not unknown:
            return
        names = " or ".join(f"`{name}`" for name in unknown)
        what = "an axis or symbol" if set(unknown) <= set("DHW") else "a symbol"
        listed = in_order([f"`{name}`" for name in sorted(symbols)]) if symbols else "none"
        notes = (f"the symbols are {listed}",) if symbols else ("their sizes are all numbers",)
        help = "`--size 224x224` sets height and width, whatever symbols they are made of"
        helps = () if what != "a symbol" else (help,)
        message = f"no input has {what} {names}"
        self.report.error("unknown-name", message, None, path=self.spec.path).note(*notes).help(*helps)
