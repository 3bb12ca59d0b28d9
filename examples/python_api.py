"""Compile a spec from Python, look at it, and train its module for one step."""

from __future__ import annotations

from pathlib import Path

import torch

import netc

SPEC = Path(__file__).parent / "chain.yaml"


def main() -> None:
    network = netc.load(SPEC)
    print(network.summary())
    model = network.module(seed=1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.randn(8, 3, 32, 32), torch.randint(10, (8,))
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimiser.step()
    print(f"loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
