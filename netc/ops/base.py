"""What every operator is: a class whose fields are its schema and whose methods state facts about it as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from enum import Enum
from importlib import import_module
from typing import Any, ClassVar, dataclass_transform

from netc.dims import Size, value_source
from netc.geometry import Window
from netc.ops.homes import HOMES
from netc.ops.narrow import INFINITIES, misfit, shown
from netc.ops.records import Averages, Fact, MatrixProduct, OnnxNode, Param, Problem, Require, Sample, TorchForm, Work
from netc.types import FLOATS, TensorType

PerAxis = tuple[int, ...]
"""One int per spatial axis; written once when all are equal."""
PerAxisOrKept = tuple[int | None, ...]
"""The same, with none for an axis that stays as it is."""
Padding = int | tuple[int, ...] | str
"""A number, one per axis, begins then ends, or a word of convolution arithmetic."""
Ints = tuple[int, ...]
Sizes = tuple[Size, ...]
Floats = tuple[float, ...]
Word = str
Text = str
"""Any text, quoted in a spec."""
Number = float
Scalar = int | float
"""A number that stays whole when it is written so."""
Tensor = bool | None
"""A reference, `name=@tensor`, that an operator with several has to tell apart: true where it is given."""


KINDS = (
    *(
        "int",
        "int | None",
        "Size",
        "Size | None",
        "Sizes",
        "Ints",
        "float",
        "float | None",
        "Scalar",
        "Scalar | None",
        "Text",
    ),
    *("Tensor", "bool", "Word", "PerAxis", "PerAxis | None", "PerAxisOrKept", "Floats", "Padding"),
)
"""What the annotation of an attribute may be, each with a converter in `conversion.py`."""
NUMBERS = ("float", "float | None", "Floats", "Scalar", "Scalar | None")
"""Those that hold numbers which become elements, or meet them."""


class Family(Enum):
    CONV = "conv"
    NORM = "norm"
    ACTIVATION = "activation"
    POOL = "pool"
    UPSAMPLE = "upsample"
    LINEAR = "linear"
    MERGE = "merge"
    RESHAPE = "reshape"
    DROPOUT = "dropout"
    OTHER = "other"


class Sight(Enum):
    """What one element of a result sees along the spatial axes of the first input, where no windows say it."""

    PLACE = "what stands at its place"
    MOVED = "one element, wherever it stood before"
    RESIZED = "elements around its place, as many as there are taps"
    WHOLE = "all elements"
    OPEN = "what depends on values, or on axes that need not be spatial"


class Missing(Enum):
    """The default of an attribute that must be given."""

    MISSING = "required"


MISSING = Missing.MISSING


class Attr:
    """The schema of one attribute: its kind (from the annotation), default, bounds and words."""

    __slots__ = ("default", "doc", "kind", "maximum", "minimum", "name", "words")

    def __init__(
        self, doc: str, default: Any, minimum: float | None, maximum: float | None, words: tuple[str, ...]
    ) -> None:
        self.doc, self.default, self.minimum, self.maximum, self.words = doc, default, minimum, maximum, words
        self.name = ""
        self.kind = ""

    @property
    def required(self) -> bool:
        return self.default is MISSING


def attr(
    doc: str,
    *,
    default: Any = MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    words: tuple[str, ...] = (),
) -> Any:
    """Declare an attribute. Defaults are in canonical form (what `convert` returns) and equal PyTorch's."""
    return Attr(doc, default, minimum, maximum, words)


class BadValue(ValueError):
    """A value an attribute does not take; the text says what it takes."""


@dataclass_transform(kw_only_default=True, field_specifiers=(attr,), frozen_default=True, eq_default=False)
class Op:
    """Base of all operators. Instances are immutable and compare by class and attribute values.

    Class facts: `name` (in a spec), `family`, `title` (in a picture), `rank` (spatial axes, where there are any),
    `arity` (fewest and most inputs; None = no limit), `attributes` (schema in PyTorch's positional order), `alone` (the
    attribute that a single positional argument gives, where that is not the first), `for_open_sizes` (what to write
    where an attribute would depend on sizes of the input),
    `references` (names that may be given as `name=@tensor`: each one given is passed, in this order, as an extra input
    after those `arity` counts; an attribute of the same name and kind `Tensor` tells which), `undoes` (the operator
    that its one reference names: attributes of the same name are that one's unless given, and its outputs but the
    first, then its input are passed as extra inputs), `skips` (inputs that are `none` are left out, one is
    enough), `transposed` (its windows spread, they do not gather), `fresh` (PyTorch's result is a tensor of its own,
    which its gradient does not need: it may be written over), `torch_name` (documentation; empty where PyTorch has
    nothing of the kind), `like_replaces` (attributes that say what a tensor `like=@x` would say instead), `is_softmax`
    (its result are probabilities, or their logarithms), `view` (PyTorch's result has no memory of its own: it is
    the first input's), `follows` (the argument that PyTorch's class takes first and that follows from the first input
    here, and from which of its axes), `tracks` (training changes its buffers), `sees` (for receptive fields), `sample`
    (a typical use, where attributes that must be given do not tell one).
    `infer` must be plain operator arithmetic over sizes (`+ - * //`), never `isinstance(n, int)`: generators also run
    it over traced numbers.
    """

    name: ClassVar[str] = ""
    family: ClassVar[Family] = Family.OTHER
    title: ClassVar[str] = ""
    rank: ClassVar[int] = 0
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    references: ClassVar[tuple[str, ...]] = ()
    undoes: ClassVar[str] = ""
    skips: ClassVar[bool] = False
    torch_name: ClassVar[str] = ""
    attributes: ClassVar[dict[str, Attr]] = {}
    defaults: ClassVar[dict[str, Any]] = {}
    alone: ClassVar[str] = ""
    for_open_sizes: ClassVar[str] = ""
    arguments: ClassVar[tuple[str, ...]] = ()
    required: ClassVar[tuple[str, ...]] = ()
    numeric: ClassVar[tuple[Attr, ...]] = ()
    transposed: ClassVar[bool] = False
    fresh: ClassVar[bool] = False
    tracks: ClassVar[bool] = False
    like_replaces: ClassVar[tuple[str, ...]] = ()
    is_softmax: ClassVar[bool] = False
    view: ClassVar[bool] = False
    follows: ClassVar[tuple[str, int]] = ("", 0)
    sees: ClassVar[Sight] = Sight.PLACE
    sample: ClassVar[Sample | None] = None

    def __init_subclass__(cls) -> None:
        own = {}
        for name, kind in cls.__dict__.get("__annotations__", {}).items():  # noqa: RUF063 - inspect is slow to import
            declared = cls.__dict__.get(name)
            if isinstance(declared, Attr):
                declared.name, declared.kind = name, kind
                own[name] = declared
                delattr(cls, name)
        cls._declare({**cls.attributes, **own})

    @classmethod
    def _declare(cls, attributes: dict[str, Attr]) -> None:
        """The attributes, and what follows from them for every operator of the class."""
        cls.attributes = attributes
        cls.defaults = {name: declared.default for name, declared in cls.attributes.items()}
        cls.arguments = tuple(dict.fromkeys((*cls.attributes, *cls.references)))
        cls.required = tuple([name for name, declared in cls.attributes.items() if declared.required])
        cls.numeric = tuple([declared for declared in cls.attributes.values() if declared.kind in NUMBERS])

    def __init__(self, **values: Any) -> None:
        fields = self.__dict__
        fields.update(self.defaults, **values)
        if len(fields) > len(self.defaults):
            raise TypeError(f"{self.name} has no attribute {min(values.keys() - self.defaults.keys())}")
        for name in self.required:
            if fields[name] is MISSING:
                raise TypeError(f"{self.name} needs {name}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("operators are immutable")

    def key(self) -> tuple[Any, ...]:
        """Equal for equal operators; hashable."""
        return (type(self), *self.__dict__.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Op) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        arguments = (f"{k}={value_source(v)}" for k, v in self.__dict__.items() if v != self.attributes[k].default)
        return " ".join((self.name, *arguments))

    def replace(self, **changes: Any) -> Op:
        """The same operator with some attributes changed."""
        return type(self)(**{**self.__dict__, **changes})

    def check(self, *x: TensorType) -> Iterator[Problem | Require]:
        """Everything wrong with this operator on these inputs; yields, never raises, knows no positions."""
        return iter(())

    def problems(self, *x: TensorType) -> Iterator[Problem | Require]:
        """`check`, and where it finds nothing each number that does not fit the elements it becomes."""
        right = True
        for problem in self.check(*x):
            right = right and isinstance(problem, Require) and not problem.fails
            yield problem
        numbers = [(declared, self.__dict__[declared.name]) for declared in self.numeric] if right else []
        dtype = self.meets(*x) if any(value is not None for _, value in numbers) else ""
        for declared, value in numbers:
            for number in value if isinstance(value, tuple) else (value,):
                yield from misfits(declared, number, dtype) if number is not None else ()

    def meets(self, *x: TensorType) -> str:
        """The type of elements that its numbers become: that of the output, or of what is compared or searched."""
        dtype = self.outputs(*x)[0].dtype
        if dtype not in FLOATS:
            dtype = next((t.dtype for t in x if t.dtype in FLOATS), x[0].dtype if dtype == "bool" and x else dtype)
        return dtype

    def check_training(self, *x: TensorType) -> Iterator[Require]:
        """What sizes training needs besides; evaluation does without."""
        return iter(())

    def infer(self, *x: TensorType) -> TensorType | tuple[TensorType, ...]:
        """The output types; total once `check` is silent."""
        raise NotImplementedError

    def outputs(self, *x: TensorType) -> tuple[TensorType, ...]:
        """`infer`, always as a tuple."""
        types = self.infer(*x)
        return types if isinstance(types, tuple) else (types,)

    def ports(self) -> tuple[str, ...] | None:
        """Names of the outputs; None means they are numbered (`@halves.0`) or there is just one. "" is the statement's
        own."""
        return None

    def complete(self) -> Op:
        """The same operator with every output it can give."""
        return self

    def with_outputs(self, used: int) -> Op:
        """The same operator with no outputs after the first `used` where it can do without."""
        return self

    def sizes_sought(self, *x: TensorType) -> tuple[Size, ...]:
        """Symbolic sizes that it is given and no input has: where it takes `like`, a tensor that has them is passed."""
        return ()

    def is_identity(self, *x: TensorType) -> bool:
        """Whether its one output is its one input as it is, so that the statement needs no node."""
        return False

    def picks(self, *x: TensorType) -> tuple[int, int] | None:
        """The output that holds places in the first input along an axis, and that axis, where it is open which of equal
        elements is named."""
        return None

    def params(self, *x: TensorType) -> tuple[Param, ...]:
        """The tensors it owns, named as in PyTorch's state_dict, in PyTorch's order."""
        return ()

    def macs(self, *x: TensorType) -> Size:
        """Multiply-accumulates on these inputs, all of their batch, without the bias, as a Size."""
        return sum([part.macs for part in self.work(*x)], start=0)

    def windows(self, *x: TensorType) -> tuple[Window, ...]:
        """The window per spatial axis, for receptive fields and for what a window never sees; () without one."""
        return ()

    def is_toeplitz(self) -> bool:
        """Whether, from one channel to another, it is a matrix of the same weights for every window, else zeros."""
        return False

    def windows_undone(self) -> tuple[Window, ...]:
        """Of an operator that undoes another, the windows of that one, which lie on the result here; () for others."""
        return ()

    def size_rules(self, *x: TensorType) -> tuple[tuple[int, str], ...]:
        """Axes of the first output and the rule that makes their sizes, with its numbers; those of the windows where
        there are some."""
        return tuple([(axis, w.formula(x[0].shape[axis])) for axis, w in enumerate(self.windows(*x), 2)])

    def work(self, *x: TensorType) -> tuple[Work, ...]:
        """How its multiply-accumulates come about; () where there are none."""
        return ()

    def matrix_products(self, *x: TensorType) -> tuple[MatrixProduct, ...]:
        """The products of matrices that its work is made into, forward and then backward; () where there are none."""
        return ()

    def averages(self, *x: TensorType) -> Averages | None:
        """What a normalisation averages over; None for what is none."""
        return None

    def facts(self, *x: TensorType) -> tuple[Fact, ...]:
        """What else a lecture says of it: bins, heads, gates, what it would cost without sharing."""
        return ()

    def sight(self, *x: TensorType) -> Sight:
        """What one element of the result sees of the first input: `sees`, unless it depends on the inputs."""
        return self.sees

    def taps(self) -> int:
        """Elements per spatial axis that one element of a resized output is made from, for receptive fields."""
        return 1

    def mixes(self, *x: TensorType) -> tuple[int, ...]:
        """The axes of the first input along which elements are brought together: a softmax's `dim`, the axes of a mean,
        the last one of a linear map, the steps of an LSTM. For findings that something else was meant."""
        return ()

    def torch(self, *x: TensorType) -> TorchForm:
        """How PyTorch says it. Raises Unsupported."""
        raise NotImplementedError

    def onnx(self, *x: TensorType) -> OnnxNode | tuple[OnnxNode, ...]:
        """The nodes for opset 21, in order; () where the output is the input itself. Raises Unsupported."""
        raise NotImplementedError

    def onnx_native(self, *x: TensorType) -> tuple[OnnxNode, ...]:
        """The nodes from opset 23 on, where ONNX has an operator of its own for what `onnx` says in several nodes: they
        are used where ONNX Runtime has kernels for them; () where it has none. Raises Unsupported."""
        return ()

    def sized_by(self, *x: TensorType) -> tuple[int, ...]:
        """The inputs of which only the sizes are read: a tensor `like=@x`, and the input of the pool that is undone."""
        if self.undoes:
            return (len(x) - 1,)
        extra = self.arity[1]
        return tuple(range(extra, len(x))) if "like" in self.references and extra is not None else ()

    def is_idle(self, *x: TensorType) -> bool:
        """Whether its output is its input in training, too, so that a picture does without."""
        return False

    def heading(self, *x: TensorType) -> str:
        """What a picture calls it on these inputs."""
        return self.title

    def caption(self, *x: TensorType) -> str:
        """The arguments that matter, as a picture prints them: `3×3, 128, s2, p1`."""
        return ""


class Operators(MutableMapping[str, type[Op]]):
    """Operators by name, netc's own in the order of `HOMES`; a module is imported when one of its operators is asked
    for. What a plugin adds stands last."""

    def __init__(self) -> None:
        self._known: dict[str, type[Op]] = {}

    def __getitem__(self, name: str) -> type[Op]:
        if name not in self._known and name in HOMES:
            import_module(f"netc.ops.{HOMES[name]}")
        return self._known[name]

    def __setitem__(self, name: str, cls: type[Op]) -> None:
        self._known[name] = cls

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in HOMES or name in self._known

    def __iter__(self) -> Iterator[str]:
        yield from HOMES
        yield from [name for name in self._known if name not in HOMES]

    def __len__(self) -> int:
        return len(HOMES.keys() | self._known.keys())


OPERATORS = Operators()
"""Every operator by the name a spec uses."""


def op(
    name: str,
    *,
    family: Family,
    torch: str = "",
    title: str = "",
    rank: int = 0,
    arity: tuple[int, int | None] | None = None,
) -> Callable[[type[Any]], type[Any]]:
    """Register a class as the operator `name`.

    torch: the class or function of PyTorch whose behaviour it has, for documentation and tests; nothing where PyTorch
    has none, and the code is written out. title: in a picture. rank: how many spatial axes. arity: fewest and most
    inputs.
    """

    def register(cls: type[Any]) -> type[Any]:
        cls.name, cls.family, cls.torch_name, cls.title = name, family, torch, title or name
        cls.rank, cls.arity = rank or cls.rank, arity or cls.arity
        cls._declare({key: _ranked(declared, cls.rank) for key, declared in cls.attributes.items()})
        _check_kinds(cls)
        OPERATORS[name] = cls
        return cls

    return register


def misfits(declared: Attr, number: float, dtype: str) -> Iterator[Problem]:
    """A problem where elements of a type do not hold the number an attribute gives them."""
    reason = misfit(number, dtype)
    if reason:
        words = [word for word in INFINITIES if word in declared.words and (word[0] == "-") == (number < 0)]
        message = f"`{declared.name}` {shown(number)} does not fit {dtype}, {reason}"
        helps = tuple([f"write `{word}` if that is meant" for word in words if dtype in FLOATS])
        yield Problem("bad-argument", message, declared.name, helps=helps)


def _check_kinds(cls: type[Op]) -> None:
    """Raise TypeError for an attribute whose annotation is no kind."""
    for declared in cls.attributes.values():
        if declared.kind not in KINDS:
            hint = "`from __future__ import annotations` keeps annotations as texts"
            raise TypeError(f"`{declared.name}` of `{cls.name}`: {declared.kind!r} is not an attribute type; {hint}")


def _ranked(declared: Attr, rank: int) -> Attr:
    """The attribute with a number for a per-axis default written once per axis of this rank."""
    if declared.kind not in ("PerAxis", "PerAxis | None") or not isinstance(declared.default, int):
        return declared
    ranked = Attr(declared.doc, (declared.default,) * rank, declared.minimum, declared.maximum, declared.words)
    ranked.name, ranked.kind = declared.name, declared.kind
    return ranked
