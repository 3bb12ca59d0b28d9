"""Data to calibrate on and to evaluate with: pictures of a folder, arrays of samples, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from netc.dims import bind
from netc.optimise.plan import OptimisePlan
from netc.passes.serve_metadata import read_serving
from netc.run.given import InputSource, feed, read_arrays
from netc.run.images import SUFFIXES
from netc.run.inputs import bad_input
from netc.run.model import Session, bounds

Feeds = Callable[[], Iterator[dict[str, Any]]]
"""Inputs by name, anew at each call: only one of them is in memory."""


def read_samples(what: str, session: Session, plan: OptimisePlan, count: int) -> tuple[str, Feeds]:
    """In words what the data are, and at most `count` samples of them, in batches of the size that the model has.

    Raises NetcError (`bad-input`) for what is neither a folder of pictures, an `.npy`, an `.npz` nor `random`.
    """
    path = Path(what)
    if what == "random":
        return _random(session, plan, count)
    if path.is_dir():
        return _pictures(path, session, plan, count)
    if path.suffix.lower() in (".npy", ".npz"):
        return _arrays(path, session, plan, count)
    raise bad_input(f"{what} is not a folder of pictures, .npy, .npz or `random`")


def _random(session: Session, plan: OptimisePlan, count: int) -> tuple[str, Feeds]:
    def feeds() -> Iterator[dict[str, Any]]:
        for number in range(count):
            yield _fed(session, {}, plan, plan.seed + number)

    return _counted(count, "random input"), feeds


def _pictures(folder: Path, session: Session, plan: OptimisePlan, count: int) -> tuple[str, Feeds]:
    """In the order of their names; of more than `count`, as many from all over the folder."""
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not pictures:
        raise bad_input(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    chosen = [pictures[at * len(pictures) // count] for at in range(count)] if len(pictures) > count else pictures
    name = next(iter(session.inputs))
    if len(session.inputs) != 1:
        raise bad_input(f"pictures need a model with one input; this one has {', '.join(session.inputs)}")

    def feeds() -> Iterator[dict[str, Any]]:
        for path in chosen:
            yield _fed(session, {name: InputSource("images", (path,))}, plan, plan.seed)

    return f"{_counted(len(chosen), 'picture')} of {folder}", feeds


def _arrays(path: Path, session: Session, plan: OptimisePlan, count: int) -> tuple[str, Feeds]:
    arrays = _loaded(path, session)
    length = min(len(array) for array in arrays.values())
    batch = _batch(session, plan)
    used = min(count, length) // batch
    if not used:
        raise bad_input(f"{path} holds {length} samples; the model takes {batch} at once")

    def feeds() -> Iterator[dict[str, Any]]:
        for first in range(0, used * batch, batch):
            part = {name: InputSource("array", array=array[first : first + batch]) for name, array in arrays.items()}
            yield _fed(session, part, plan, plan.seed)

    return f"{_counted(used * batch, 'sample')} of {path}", feeds


def _loaded(path: Path, session: Session) -> dict[str, Any]:
    stored = read_arrays(path)
    arrays = stored if isinstance(stored, dict) else {next(iter(session.inputs)): stored}
    if arrays.keys() != session.inputs.keys() or any(array.ndim == 0 for array in arrays.values()):
        raise bad_input(
            f"{path} has {', '.join(arrays)}; the model takes {', '.join(session.inputs)}, sample after sample"
        )
    return arrays


def _batch(session: Session, plan: OptimisePlan) -> int:
    """How many samples a model takes at once; one where that is free and not bound."""
    sizes = [bind(kind.shape[0], plan.bind) for kind in session.inputs.values() if kind.shape]
    return max((size for size in sizes if isinstance(size, int)), default=1)


def _fed(session: Session, sources: Mapping[str, InputSource], plan: OptimisePlan, seed: int) -> dict[str, Any]:
    serving = read_serving(session.metadata, "the model")
    return feed(session.inputs, sources, bounds(session), plan.bind, seed, plan.preprocess, serving).arrays


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
