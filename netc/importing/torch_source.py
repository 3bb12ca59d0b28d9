"""PyTorch modules as sources: exported, read, and run again for comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import Parameter, signature
from math import inf, prod
from pathlib import Path
from typing import Any

import msgspec

from netc.dims import symbol
from netc.importing.beside import SpecInTorch, SpecModel
from netc.importing.graph import Gap, Graph
from netc.importing.looking import Probe, ProbedValue, taken
from netc.importing.proof import NoSizes, Run, shaken
from netc.importing.readers import torch_functions, torch_layers, torch_made, torch_shapes  # noqa: F401 - they register what reads calls
from netc.importing.readers.torch import TorchReader, input_types, settled
from netc.importing.readers.torch_whole import kept_whole
from netc.importing.run import Imported, Wishes, finish
from netc.importing.spaces import least_exact
from netc.ir.model import Network
from netc.libraries import torch
from netc.progress import Note, no_note
from netc.run.eager import tensors, widened
from netc.syntax.names import name_from_stem
from netc.types import TensorType
from netc.verify.layers import OpenedNetwork

GUARDS = "_guards_fn"
"""The part of an exported module that asserts what was settled on, in versions of PyTorch that have it."""


class TorchSource:
    """An exported program, node by node in PyTorch."""

    widens, moved = True, "all its values"

    def __init__(self, program: Any, types: Mapping[str, TensorType]) -> None:
        self.name, self.program = "PyTorch", program
        self.inputs = dict(types)
        self._guards = getattr(program.module(), GUARDS, None)

    def accepts(self, shapes: Sequence[Sequence[int]]) -> bool:
        """What the program was exported for: it settles on what holds for the example and for most sizes beside it."""
        if self._guards is None:
            return True
        try:
            self._guards(*map(_valueless, self.inputs.values(), shapes))
        except AssertionError:
            return False
        return True

    def open(self, looks: Sequence[Probe]) -> Run:
        lib = torch()

        def run(arrays: Mapping[str, Any], is_shaken: bool = False, is_wide: bool = False) -> list[ProbedValue]:
            inputs = [arrays[name].copy() for name in self.inputs]
            inputs = widened(inputs) if is_wide else inputs
            watching = _watching()(self.program.module(), looks, is_shaken, is_wide)
            usual = lib.get_default_dtype()
            try:
                lib.set_default_dtype(lib.float64 if is_wide else usual)
                with lib.no_grad():
                    watching.run(*tensors(shaken(inputs) if is_shaken else inputs))
            finally:
                lib.set_default_dtype(usual)
            return [watching.seen[look.name] for look in looks]

        return run

    def beside(self, network: Network, opened: OpenedNetwork, weights: Path, folder: Path) -> SpecModel:
        return SpecInTorch(network, opened, weights)


@cache
def _watching() -> Any:
    lib = torch()
    tree_map, tree_leaves = lib.utils._pytree.tree_map, lib.utils._pytree.tree_leaves

    def is_float(leaf: Any) -> bool:
        return bool(lib.is_tensor(leaf) and leaf.is_floating_point())

    class Watching(lib.fx.Interpreter):  # type: ignore[misc, name-defined]
        """Keeps copies of what is looked at: calls in place write over it."""

        def __init__(self, module: Any, looks: Sequence[Probe], is_shaken: bool, is_wide: bool) -> None:
            super().__init__(module)
            self.wanted = {look.name: look.step for look in looks}
            self.seen: dict[str, ProbedValue] = {}
            self.is_wide = is_wide
            self.generator = lib.Generator().manual_seed(0) if is_shaken else None

        def run_node(self, node: Any) -> Any:
            result = super().run_node(node)
            if self.generator is not None and node.op == "call_function":
                self._move(node, result)
            if node.name in self.wanted and hasattr(result, "clone"):
                self.seen[node.name] = taken(result.detach().numpy(), self.wanted[node.name])
            return result

        def fetch_args_kwargs_from_env(self, node: Any) -> Any:
            found = super().fetch_args_kwargs_from_env(node)
            return tree_map(self._widened, found) if self.is_wide else found

        def _widened(self, leaf: Any) -> Any:
            """What is of a narrower type in float64: tensors that the module holds, and types that calls name."""
            is_narrow = isinstance(leaf, lib.dtype) and leaf.is_floating_point
            return lib.float64 if is_narrow else leaf.double() if is_float(leaf) else leaf

        def _move(self, node: Any, result: Any) -> None:
            """Numbers that a call has made go up or down in their last digit: not those of a view of what it was given,
            which others see too."""
            given = self.fetch_args_kwargs_from_env(node)
            storages = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(given) if lib.is_tensor(leaf)}
            for made in filter(is_float, tree_leaves(result)):
                if made.untyped_storage().data_ptr() not in storages:
                    up = lib.rand(made.shape, generator=self.generator) < 0.5
                    made.copy_(lib.nextafter(made, lib.where(up, inf, -inf).to(made.dtype)))

    return Watching


def _valueless(type_: TensorType, shape: Sequence[int]) -> Any:
    return torch().empty(tuple(shape), dtype=getattr(torch(), type_.dtype), device="meta")


def import_torch_module(module: Any, example: Any, wishes: Wishes, name: str = "", note: Note = no_note) -> Imported:
    """The network of a module in eval mode, or of a program that is exported already. Raises NetcError."""
    inputs = tuple(example) if isinstance(example, list | tuple) else (example,)
    told = name or name_from_stem(type(module).__name__)
    try:
        return _imported(module, inputs, wishes, told, note)
    except Gap as gap:
        if wishes.sizes == "fixed":
            raise gap.error(told) from gap
        note(f"the sizes of the example are kept: {gap.why}")
        first: Gap | None = gap
    except NoSizes:
        if wishes.sizes == "fixed":
            raise
        note("the module accepts only the sizes of the example")
        first = None
    try:
        return _imported(module, inputs, msgspec.structs.replace(wishes, sizes="fixed"), told, note)
    except Gap as gap:
        raise (first or gap).error(told) from gap


def _imported(module: Any, inputs: tuple[Any, ...], wishes: Wishes, told: str, note: Note) -> Imported:
    """Raises Gap and NoSizes."""
    if isinstance(module, torch().export.ExportedProgram):
        program, modules = module, {}
    else:
        note("exporting")
        program, modules = exported(module, inputs, wishes.sizes), dict(module.named_modules())
    graph = _read(program, told, wishes.sizes, modules)
    types = {
        value.source: TensorType(_open(node), value.type.dtype)
        for value, node in zip(graph.inputs, _inputs(program), strict=True)
    }
    source = TorchSource(program, types)
    names = {key: prod(tensor.shape) for key, tensor in program.state_dict.items()}
    return finish(graph, source, names, told, wishes, note)


def _read(program: Any, name: str, sizes: str, modules: Mapping[str, Any]) -> Graph:
    def read(types: Sequence[TensorType]) -> Graph:
        return TorchReader(program, name, types, modules).read()

    last: Gap | None = None
    for types in input_types(program, sizes):
        try:
            return least_exact(read(types), types, read)
        except Gap as gap:
            last = gap
    assert last is not None, "there is always a way to read the inputs"
    raise last


def exported(module: Any, inputs: tuple[Any, ...], sizes: str) -> Any:
    """The exported program, with as many sizes left open as possible. Raises Gap."""
    lib = torch()
    modes = {part: part.training for part in module.modules()}
    module.eval()
    problem: Exception | None = None
    try:
        examples = [(inputs, open_axes) for open_axes in WAYS[sizes]]
        if sizes == "symbolic" and (two := _two_of_one(module, inputs)):
            examples = [*((two, open_axes) for open_axes in WAYS[sizes]), *examples]
        for example, open_axes in examples:
            fresh = tuple(map(_copied, example))  # the export leaves its marks on the examples, failed ones too
            try:
                shapes = _by_parameter(module, _shapes(fresh, open_axes))
                with lib.no_grad(), kept_whole(module):
                    return lib.export.export(module, fresh, dynamic_shapes=shapes, strict=False)
            except FAILURES as error:
                problem = problem or error
    finally:
        for part, training in modes.items():
            part.training = training
    told = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
    raise Gap(f"torch.export cannot export it: {told}") from problem


def _two_of_one(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The example twice where it is a batch of one, which an export takes for a size that is fixed; None where it is
    none: where the module does not give twice as much of the same kind."""
    lib = torch()
    tensors = [value for value in inputs if hasattr(value, "dim") and value.dim()]
    if not tensors or any(len(value) != 1 for value in tensors):
        return None
    two = tuple(lib.cat([value, value]) if hasattr(value, "dim") and value.dim() else value for value in inputs)
    try:
        with lib.no_grad():
            once, twice = (_results(module(*map(_copied, given))) for given in (inputs, two))
    except FAILURES:
        return None
    doubled = [(2 * len(one), *one.shape[1:]) if one.dim() else () for one in once]
    return two if doubled == [tuple(both.shape) for both in twice] else None


def _results(result: Any) -> list[Any]:
    return [leaf for leaf in torch().utils._pytree.tree_leaves(result) if torch().is_tensor(leaf)]


def _copied(example: Any) -> Any:
    return example.detach().clone() if hasattr(example, "detach") else example


def _by_parameter(module: Any, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """One for each parameter of `forward`, as the export wants them: `*inputs` is one parameter."""
    kinds = [parameter.kind for parameter in signature(module.forward).parameters.values()]
    many = Parameter.VAR_POSITIONAL
    first = kinds.index(many) if many in kinds else len(shapes)
    return (*shapes[:first], shapes[first:]) if first < len(shapes) else shapes


def _shapes(inputs: tuple[Any, ...], open_axes: Callable[[int], Sequence[int]]) -> Any:
    auto = torch().export.Dim.AUTO
    return tuple(dict.fromkeys(open_axes(tensor.dim()), auto) if hasattr(tensor, "dim") else None for tensor in inputs)


def _all(rank: int) -> Sequence[int]:
    """Of the axes that may be open: the batch, and height and width of pictures."""
    return [0, *range(2, rank)] if rank >= 4 else _batch(rank)


def _batch(rank: int) -> Sequence[int]:
    return [0] if rank else []


def _none(rank: int) -> Sequence[int]:
    return []


FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, KeyError, IndexError)
"""What modules raise for examples that they do not take, and their export for what it cannot follow."""

WAYS: Mapping[str, tuple[Callable[[int], Sequence[int]], ...]] = {
    "symbolic": (_all, _batch, _none),
    "fixed": (_batch, _none),
}
"""Which axes are left open, by what is wished for; one after the other is tried."""


def _inputs(program: Any) -> list[Any]:
    names = program.graph_signature.user_inputs
    return [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]


def _open(node: Any) -> tuple[Any, ...]:
    """The sizes of an input; those that are open are symbols of no meaning."""
    shape = map(settled, node.meta["val"].shape)
    return tuple(size if isinstance(size, int) else symbol(f"open{i}") for i, size in enumerate(shape))
