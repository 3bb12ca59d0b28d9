"""Compile a spec from Python, look at it, and train its module for one step."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory

import torch

import netc

SPEC = Path(__file__).parent / "chain.yaml"


def build(network: netc.Network) -> torch.nn.Module:
    """The network's class is the last in the generated file and needs no arguments."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "model.py"
        path.write_text(network.to_torch(), encoding="utf-8")
        *_, last = (found for found in run_path(str(path)).values() if isinstance(found, type))
    return last()


def main() -> None:
    network = netc.load(SPEC)
    print(network.summary())
    model = build(network)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.randn(8, 3, 32, 32), torch.randint(10, (8,))
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimiser.step()
    print(f"loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
