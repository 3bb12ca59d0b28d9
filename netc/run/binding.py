"""Inputs and outputs that stay on the device: a run copies nothing to or from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netc.libraries import onnxruntime
from netc.passes.sizes import Binding, bound_shape
from netc.run.inputs import bad_input
from netc.run.model import Session, guarded

Run = Callable[[], None]
Results = Callable[[], dict[str, Any]]


def bind_arrays(session: Session, feed: Mapping[str, Any], binding: Binding, fixed: bool) -> tuple[Run, Results]:
    """Lay arrays on the session's device; what runs the model on them, and what fetches its outputs by name.

    fixed: outputs too lie where they lie for every run, as a CUDA graph needs; `binding` then gives their sizes.
    Raises NetcError: `bad-input` for arrays that the model does not take, `unbound-size` where an output's size is
    known only by running.
    """
    device = "cpu" if session.device == "cpu" else "cuda"
    bound = session.handle.io_binding()
    _refuse_strangers(session, feed)
    kept = {name: onnxruntime().OrtValue.ortvalue_from_numpy(array, device, 0) for name, array in feed.items()}
    for name, value in kept.items():
        bound.bind_ortvalue_input(name, value)
    for name, kind in session.outputs.items():
        if fixed:
            shape, dtype = bound_shape(kind.shape, binding), kind.dtype
            place = onnxruntime().OrtValue.ortvalue_from_shape_and_type(shape, dtype, device, 0)
            bound.bind_ortvalue_output(name, place)
        else:
            bound.bind_output(name, device)

    def run() -> None:
        session.handle.run_with_iobinding(bound)
        bound.synchronize_outputs()

    def results() -> dict[str, Any]:
        return dict(zip(session.outputs, bound.copy_outputs_to_cpu(), strict=True))

    return guarded(run), results


def _refuse_strangers(session: Session, feed: Mapping[str, Any]) -> None:
    if strange := [name for name in feed if name not in session.inputs]:
        message = f"the model has no input {', '.join(strange)}; it has {', '.join(session.inputs)}"
        raise bad_input(message)
