"""The typed tree of a spec file. Every node knows the span it was written at."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

import msgspec

from netc.diagnostics.model import Span
from netc.expr.tree import Expr, TensorRef
from netc.lazy import LazyModule

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = LazyModule("hashlib")


class Argument(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A positional (`name` None) or named argument of a line. late: a positional word behind named arguments."""

    name: str | None
    value: Expr
    span: Span
    name_span: Span | None = None
    late: bool = False


class Statement(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    span: Span


class LongForm(msgspec.Struct, frozen=True, eq=False):
    """Where the value of `args` and the entry `inputs: …` of a line in the long form stand, if it has them."""

    args: Span | None
    inputs: Span | None


class Line(Statement, frozen=True, eq=False):
    """`conv2d 64 7 stride=2 @in x3`. The long form parses to the same thing and says so in `long`.

    inputs is None without any `@`, else the references in order. `op` may be an operator, a block, an
    import, a shared module or an argument that holds an operator.
    """

    op: str
    op_span: Span
    arguments: tuple[Argument, ...] = ()
    inputs: tuple[TensorRef, ...] | None = None
    repeat: Expr | None = None
    long: LongForm | None = None


class Alias(Statement, frozen=True, eq=False):
    """A statement that is only references: `else: "@in"`."""

    refs: tuple[TensorRef, ...]


class Nothing(Statement, frozen=True, eq=False):
    """`none`: no tensor. What is computed from it alone is none too, and merges leave it out."""


class Chain(Statement, frozen=True, eq=False):
    """Members run one after another as `name.0`, `name.1`, …"""

    items: tuple[Statement, ...]


class Body(Statement, frozen=True, eq=False):
    """Named statements in order."""

    statements: tuple[Named, ...]


class Conditional(Statement, frozen=True, eq=False):
    condition: Expr
    then: Statement
    otherwise: Statement | None = None


class Loop(Statement, frozen=True, eq=False):
    """`for: {k c s: stages}`: the names taken from each item of `iterable` (a list or a Range)."""

    names: tuple[str, ...]
    iterable: Expr
    body: Statement


class Named(msgspec.Struct, frozen=True, eq=False):
    """`layer$(i-1).conv: statement`. `name` holds literal texts and holes, as TensorRef.parts does."""

    name: tuple[str | Expr, ...]
    statement: Statement
    name_span: Span

    @property
    def text(self) -> str:
        """The name, or, where it has holes, what the author wrote."""
        first = self.name[0]
        return first if isinstance(first, str) and len(self.name) == 1 else self.name_span.text


class Parameter(msgspec.Struct, frozen=True, eq=False):
    """One name of a signature. default None means the caller must give it."""

    name: str
    default: Expr | None
    span: Span


class Let(msgspec.Struct, frozen=True, eq=False):
    name: str
    value: Expr
    span: Span


class Input(msgspec.Struct, frozen=True, eq=False):
    """A declared input. A block's inputs have no shape; a file's have one expression per axis. `many`: the last of a
    block, which takes all further tensors."""

    name: str
    span: Span
    shape: tuple[Expr, ...] | None = None
    dtype: str = "float32"
    many: bool = False


class Output(msgspec.Struct, frozen=True, eq=False):
    """A declared output: where it comes from, when it exists (`train` or always), under which condition.

    parts: its name with holes, as Named has it; loop: the turns that fill them, each an output of its own.
    """

    name: str
    source: TensorRef
    span: Span
    train_only: bool = False
    condition: Expr | None = None
    parts: tuple[str | Expr, ...] = ()
    loop: Loop | None = None


class Check(msgspec.Struct, frozen=True, eq=False):
    """An expression that must hold, and what to say where it does not: texts and the values between them."""

    that: Expr
    span: Span
    message: tuple[str | Expr, ...] = ()


class Definition(msgspec.Struct, eq=False, kw_only=True):
    """What a block and a file have in common. `inputs` and `outputs` are None when the key is absent."""

    name: str
    span: Span
    parameters: tuple[Parameter, ...] = ()
    lets: tuple[Let, ...] = ()
    inputs: tuple[Input, ...] | None = None
    net: Statement | None = None
    outputs: tuple[Output, ...] | None = None
    shared: tuple[Named, ...] = ()
    checks: tuple[Check, ...] = ()
    file: SpecFile | None = None
    """The file this stands in; a SpecFile's is itself."""
    class_name: str = ""
    """What the author calls the class of the PyTorch module; "" for the name in PascalCase."""


class Import(msgspec.Struct, frozen=True, eq=False):
    name: str
    path: str
    variant: str | None
    span: Span


class Variant(msgspec.Struct, frozen=True, eq=False):
    name: str
    values: tuple[Argument, ...]
    span: Span


class Defaults(msgspec.Struct, frozen=True, eq=False):
    op: str
    values: tuple[Argument, ...]
    span: Span


class InitRule(msgspec.Struct, frozen=True, eq=False):
    """`conv2d`, `conv2d.bias` or a glob over parameter paths, and the line that says how to fill."""

    pattern: str
    line: Line
    span: Span


class Text(msgspec.Struct, frozen=True, eq=False):
    """A plain word or text with its place (a freeze path, a lint level, …)."""

    value: str
    span: Span


class Setting(msgspec.Struct, frozen=True, eq=False):
    """A word and its arguments: `sgd lr=0.1 momentum=0.9`."""

    word: str
    values: Mapping[str, Any]
    span: Span


class Training(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """How a network is trained.

    batch: examples of a step, in all processes together. clip: the largest norm of the gradient. groups: paths of
    modules, with what the optimiser does otherwise there. data: `module:function`; folder: of pictures.
    """

    span: Span
    optimizer: Setting
    epochs: int
    loss: Setting | None = None
    schedule: Setting | None = None
    average: Setting | None = None
    batch: int = 32
    clip: float | None = None
    seed: int = 0
    precision: Text | None = None
    groups: tuple[tuple[Text, Mapping[str, Any]], ...] = ()
    data: Text | None = None
    folder: Text | None = None


class SpecFile(Definition, eq=False, kw_only=True):
    """A whole file, parsed. `doc` and `edition` default when a file has errors there."""

    path: str
    doc: str = ""
    variants: tuple[Variant, ...] = ()
    imports: dict[str, Import] = {}
    blocks: dict[str, Definition] = {}
    defaults: tuple[Defaults, ...] = ()
    init: tuple[InitRule, ...] = ()
    freeze: tuple[Text, ...] = ()
    lint: dict[str, Text] = {}
    train: Training | None = None
    ignores: Mapping[int, Set[str]] = {}
    """Line number → codes of its `# netc: ignore[code, …]` comment."""

    @property
    def sha256(self) -> str:
        """The digest of the file's text, in hexadecimal."""
        text = self.span.source.text
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
