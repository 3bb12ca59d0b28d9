"""The lectures' recipes on scikit-learn's 8×8 digits, with modules from a spec: SGD with momentum under a step and a
cosine schedule, stochastic weight averaging, and fine tuning with frozen batch norms.

Losses, optimisers and differentiation are PyTorch's; netc makes the module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, StepLR
from torch.optim.swa_utils import AveragedModel, update_bn

import netc

SPEC = """
netc: 1
name: strokes
args: {classes: 10}
inputs: {image: [N, 1, 8, 8]}
blocks:
  unit:
    args: width stride=1
    net: [conv2d width 3 stride=stride padding=1 bias=false, batch_norm2d, relu]
net:
  body: [unit 16, unit 32 stride=2, unit 32]
  pool: adaptive_avg_pool2d 1
  flatten: flatten
  head: linear classes
outputs: {logits: head}
"""
FROZEN = SPEC.replace("net:\n  body", "freeze: [body]\nnet:\n  body")
"""The same with a body that does not train, whose batch norms stay in eval."""

EPOCHS, BATCH, RATE = 3, 64, 0.1
Data = tuple[Tensor, Tensor]


def main() -> None:
    train, test = digits()
    for name, schedule in (("step", StepLR), ("cosine", CosineAnnealingLR)):
        torch.manual_seed(0)
        model = netc.load(SPEC).module()
        report(f"SGD with momentum, {name} schedule", fit(model, train, schedule), model, test)

    averaged = AveragedModel(model)
    loss = fit(model, train, None, rate=RATE / 5, after_epoch=lambda: averaged.update_parameters(model))
    update_bn((images for images, _ in batches(train)), averaged)
    report("weights averaged over the epochs after it", loss, averaged, test)

    first = netc.load(SPEC).module()
    fit(first, subset(train, range(5)), CosineAnnealingLR)
    few, unseen = subset(train, range(5, 10), 300), subset(test, range(5, 10))
    tuned = netc.load(FROZEN).module()
    start = {key: value for key, value in first.state_dict().items() if key.startswith("body.")}
    tuned.load_state_dict(start, strict=False)
    before = {key: value.clone() for key, value in tuned.state_dict().items() if key.startswith("body.")}
    loss = fit(tuned, few, None, epochs=20)
    report("300 images of 5 to 9, on a body frozen after 0 to 4", loss, tuned, unseen)
    after = tuned.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items()), "running statistics included"


def digits() -> tuple[Data, Data]:
    """1,400 images to train with and 397 to test with, N×1×8×8 from 0 to 1, and their digits."""
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16, torch.tensor(labels)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return (x[order[:1400]], y[order[:1400]]), (x[order[1400:]], y[order[1400:]])


def subset(data: Data, wanted: range, most: int | None = None) -> Data:
    """The images of some digits only."""
    images, labels = data
    places = torch.isin(labels, torch.tensor(wanted)).nonzero().flatten()[:most]
    return images[places], labels[places]


def batches(data: Data) -> Iterator[Data]:
    images, labels = data
    for places in torch.randperm(len(images)).split(BATCH):
        if len(places) > 1:
            yield images[places], labels[places]


def fit(
    model: nn.Module,
    data: Data,
    schedule: type[LRScheduler] | None,
    rate: float = RATE,
    epochs: int = EPOCHS,
    after_epoch: Callable[[], object] = int,
) -> float:
    """Train, and give the last loss. The step schedule divides the rate by ten after two thirds of the epochs,
    the cosine falls to 0."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=rate, momentum=0.9, weight_decay=5e-4)
    length = {"step_size": EPOCHS * 2 // 3} if schedule is StepLR else {"T_max": EPOCHS}
    plan = schedule(optimiser, **length) if schedule is not None else None
    loss = torch.zeros(())
    model.train()
    for _ in range(epochs):
        for images, labels in batches(data):
            loss = nn.functional.cross_entropy(model(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if plan is not None:
            plan.step()
        after_epoch()
    return loss.item()


@torch.no_grad()
def report(name: str, loss: float, model: nn.Module, test: Data) -> None:
    images, labels = test
    right = (model.eval()(images).argmax(1) == labels).float().mean().item()
    print(f"{name:54} loss {loss:.3f}, {100 * right:.1f}% of {len(labels)} right")


if __name__ == "__main__":
    main()
