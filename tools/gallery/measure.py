"""Full-size measurements: PyTorch against onnxruntime on fresh weights, and against torchvision on equal ones.

They are kept in `measured/`, a file per topic, with a digest of the network they were made for.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import torch
from safetensors.torch import save_file

import netc
from netc.ir.text import ir_text
from netc.verify import VerifyReport, verify
from tools.gallery.entries import Entry, Sizes, all_entries, topics
from tools.gallery.figures import below
from tools.gallery.peers import (
    build_module,
    build_peer,
    largest_difference,
    random_inputs,
    randomise,
    run_ours,
    run_peer,
    share_weights,
)

MEASURED = Path(__file__).parent / "measured"
PEER_TOLERANCE = 1e-5
"""Largest difference from torchvision in float32, as a share of the largest value: rounding in another order."""


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """parity: PyTorch against onnxruntime, `by statement` where rounding decides what follows; peer: against
    torchvision; each the power of ten it stays under."""

    digest: str
    parity: str
    peer: str = ""


class Failed(Exception):
    """A network that does not do what it must; the text says what."""


def measure(entry: Entry) -> Measured:
    """Everything about a network that has to be run at full size. Raises Failed."""
    return Measured(digest(entry), parity(entry, entry.full), _peer_text(entry))


def parity(entry: Entry, sizes: Sizes) -> str:
    """The largest difference between PyTorch and onnxruntime, as a share of the output's largest value; where these
    agree only step by step, that of a statement from equal inputs.

    On fresh weights; on random ones where the entry scales these, because fresh ones leave too little to tell apart, or
    where the output is the same for every input.
    """
    network = entry.load(Sizes(args=sizes.args))
    report = None if entry.scales else verify(network.ir, bind=sizes.bind)
    if report is None or _still(network, report):
        report = _verify_randomised(network, sizes.bind, entry.scales)
    if not report.ok or _still(network, report):
        raise Failed("\n".join(report.lines()))
    if report.steps is None or report.steps.worst is None:
        return below(max(difference.relative for difference in report.differences))
    return f"{below(report.steps.worst.difference.relative)} by statement"


def _still(network: netc.Network, report: VerifyReport) -> list[str]:
    """Outputs that no input moves; counts and labels may be equal by chance, as where all places are taken."""
    return [name for name in report.still if "float" in network.outputs[name].dtype]


def _verify_randomised(network: netc.Network, bind: dict[str, int], scales: dict[str, float]) -> VerifyReport:
    with TemporaryDirectory() as folder:
        module, weights = build_module(network, drawn=False), Path(folder) / "model.safetensors"
        randomise(module, scales)
        save_file(module.state_dict(), weights)
        return verify(network.ir, weights, bind=bind)


def _peer_text(entry: Entry) -> str:
    if entry.peer is None:
        return ""
    found = peer_difference(entry, entry.full)
    if found > PEER_TOLERANCE:
        raise Failed(f"torchvision's {entry.peer.name} differs by {found:.1e}")
    return below(found)


def peer_difference(entry: Entry, sizes: Sizes) -> float:
    """The largest difference from torchvision in eval, on random weights that both load strictly."""
    if entry.peer is None:
        raise ValueError(f"{entry.name} has no peer")
    network = entry.load(sizes)
    ours, theirs = build_module(network, drawn=False), build_peer(entry.peer, small=sizes is entry.small)
    share_weights(ours, theirs, entry.scales)
    inputs = random_inputs(network)
    with torch.no_grad():
        mine = run_ours(network, ours.eval(), inputs)
        return largest_difference(mine, run_peer(entry.peer, theirs.eval(), inputs, next(iter(mine))))


def digest(entry: Entry) -> str:
    """Of what was measured: the network as compiled, its sizes, its peer and its weights."""
    network = ir_text(entry.load(Sizes(args=entry.full.args)).ir)
    settings = (entry.full.bind, entry.peer, entry.scales)
    return sha256(b"\0".join([network.encode(), *map(msgspec.json.encode, settings)])).hexdigest()[:12]


def valid() -> dict[str, Measured]:
    """Entry → what was measured of the network as it is now."""
    kept = stored()
    return {entry.name: kept[entry.name] for entry in all_entries() if entry.name in kept and not is_stale(entry)}


def stored() -> dict[str, Measured]:
    """Entry → what was measured last."""
    found: dict[str, Measured] = {}
    for path in sorted(MEASURED.glob("*.json")):
        found |= msgspec.json.decode(path.read_bytes(), type=dict[str, Measured])
    return found


def is_stale(entry: Entry) -> bool:
    """Whether the network was never measured, or was another one then; never, where it is not to be measured."""
    if entry.unmeasured:
        return False
    measured = stored().get(entry.name)
    return measured is None or measured.digest != digest(entry)


def store(entry: Entry, found: Measured) -> None:
    """Write the file of the entry's topic, without what is no entry any more."""
    topic, entries = next((topic, entries) for topic, entries in topics().items() if entry in entries)
    measured = {**stored(), entry.name: found}
    kept = {other.name: measured[other.name] for other in entries if other.name in measured}
    MEASURED.mkdir(exist_ok=True)
    (MEASURED / f"{topic}.json").write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
