"""What `netc.import_onnx` and its like are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netc.importing.candidates import NamesMode
from netc.importing.run import Imported, SizesMode, Wishes, import_onnx_file
from netc.lazy import LazyModule

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

    from netc.importing import torch_source
else:
    torch_source = LazyModule("netc.importing.torch_source")

__all__ = ["Imported", "import_onnx", "import_torch"]

Shapes = Sequence[int] | Mapping[str, Sequence[int]] | None


def import_onnx(
    path: str | os.PathLike[str],
    *,
    names: NamesMode = "keep",
    sizes: SizesMode = "symbolic",
    shapes: Shapes = None,
    partial: bool = False,
) -> Imported:
    """The network of an ONNX file as a spec with its weights, both compared with the file.

    names: `keep` those of the file where it has any, `readable` takes the shorter spec, `none` ignores them. sizes:
    `symbolic` leaves batch, height and width open where the network allows it, `fixed` keeps those of the file.
    shapes: of the inputs, where the file leaves them open. partial: leave out nodes that netc has no operator for; what
    they read is an output of the spec, what they give an input, and the report names them under `gaps`. Nothing is
    written before `Imported.write`. Raises NetcError: `cannot-import` for what netc has no operator for,
    `import-differs`, `model-file`.
    """
    return import_onnx_file(os.fspath(path), Wishes(names, sizes, shapes_of(shapes), partial))


def import_torch(
    module: nn.Module | ExportedProgram,
    example: Any = (),
    *,
    names: NamesMode = "keep",
    sizes: SizesMode = "symbolic",
    name: str = "",
) -> Imported:
    """The network of a PyTorch module in eval mode as a spec with its weights, both compared with the module.

    example: a tensor, or a tuple of them, as `forward` takes them; sizes that the module does not fix are left open;
    an exported program needs none. name: of the network, by default that of the module's class. The other arguments
    are those of `import_onnx`. The module is exported with `torch.export`; names of its parameters stay as they are.
    Raises NetcError: `cannot-import`, `import-differs`.
    """
    return torch_source.import_torch_module(module, example, Wishes(names, sizes), name)


def shapes_of(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """By name; the only input's under the empty name."""
    if shapes is None:
        return {}
    if isinstance(shapes, Mapping):
        return {name: tuple(shape) for name, shape in shapes.items()}
    return {"": tuple(shapes)}
