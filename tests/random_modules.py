"""Random specs of everything that a module is made from, and a command that judges many of them.

    PYTHONPATH=.:tests python -m random_modules --cases 2000 --jobs 2

A spec is a dictionary as YAML reads it, so that what fails can be made smaller (`shrinking`).
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch
import yaml

from netc.cli.progress import progress
from tests.module_judge import Wrong, judge, step
from tests.random_bodies import ACTIVATIONS, Block, Body, Names, Scope
from tests.shrinking import shrink

Spec = dict[str, Any]

KINDS = ("counts", "counts", "counts", "fractions", "truths", "lists", "operators", "optional")
USUAL = {
    "counts": ("width", "c", "n", "growth", "i", "k"),
    "fractions": ("slope", "scale", "p"),
    "truths": ("flag", "bias", "residual"),
    "lists": ("depths", "rates", "sizes"),
    "operators": ("act", "norm", "activation"),
    "optional": ("hidden", "limit"),
}


def value(random: Random, kind: str) -> Any:
    """A default of that kind."""
    return {
        "counts": lambda: random.randint(1, 4),
        "fractions": lambda: random.choice([0.5, 0.25, 1.5, -0.75, 2.0]),
        "truths": lambda: random.random() < 0.5,
        "lists": lambda: [random.randint(1, 4) for _ in range(random.randint(1, 3))],
        "operators": lambda: random.choice([*ACTIVATIONS[:4], '"leaky_relu 0.2"', "none", "batch_norm2d"]),
        "optional": lambda: random.choice([None, 2, 3]),
    }[kind]()


class Maker:
    """One random network: the file, and another that it may import."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.names = Names(self.random)

    def make(self) -> dict[str, Spec]:
        part = self._file("part", [], small=True) if self.random.random() < 0.3 else None
        found = {"main.yaml": self._file("randomised", ["part.yaml"] if part else [], small=False)}
        return found if part is None else {**found, "part.yaml": part}

    def _file(self, name: str, imports: list[str], small: bool) -> Spec:
        r, taken = self.random, {"image", *"Nhvq"}
        scope, spec = Scope(r), {"netc": 1, "name": name}
        args = self._args(scope, taken, r.randint(1, 2) if small else r.randint(1, 5))
        spec["args"] = {a: value(r, kind) for a, kind in args.items()}
        self._let(spec, scope, taken)
        own = scope.count() if r.random() < 0.15 else r.randint(1, 4)
        spec["inputs"] = {"image": ["N", "q" if small else own, "4*h", "4*v"]}
        blocks: list[Block] = []
        if imports:
            called = self.names.draw("import", "part", taken)
            spec["import"] = {called: imports[0]}
            blocks.append(Block(called, {}))
        spec["blocks"] = {}
        for _ in range(r.randint(0, 1) if small else r.randint(1, 3)):
            self._block(spec, scope, taken, blocks)
        self._chosen_block(spec, taken, blocks)
        inputs = ["image"]
        if not small and r.random() < 0.2:
            inputs.append(self.names.draw("input", "extra", taken))
            spec["inputs"][inputs[-1]] = ["N", r.randint(1, 3), "4*h", "4*v"]
        body = Body(self.names, Scope(r, scope), {*taken}, blocks, inputs)
        self._shared(spec, body)
        for _ in range(r.randint(1, 2) if small else r.randint(2, 6)):
            body.statement()
        spec["net"] = body.net
        self._finish(spec, body, small)
        return {key: part for key, part in spec.items() if part != {}}

    def _args(self, scope: Scope, taken: set[str], count: int) -> dict[str, str]:
        found = {}
        for _ in range(count):
            kind = self.random.choice(KINDS)
            name = self.names.draw("argument", self.random.choice(USUAL[kind]), taken)
            scope.add(name, kind)
            found[name] = kind
        return found

    def _let(self, spec: Spec, scope: Scope, taken: set[str]) -> None:
        lets = {}
        for _ in range(self.random.choice([0, 0, 1, 2])):
            text = scope.count()
            name = self.names.draw("let", self.random.choice(["hidden", "inner", "wide"]), taken)
            lets[name] = text
            scope.add(name, "counts")
        if lets:
            spec["let"] = lets

    def _block(self, spec: Spec, outer: Scope, taken: set[str], blocks: list[Block]) -> None:
        r, scope = self.random, Scope(self.random, outer)
        own = {*taken, "in"}
        args = self._args(scope, own, r.randint(0, 4))
        block: Spec = {"args": {a: value(r, kind) for a, kind in args.items()}}
        two = r.random() < 0.2
        inputs = [self.names.draw("input", word, own) for word in ("top", "side")] if two else ["in"]
        if two:
            block["inputs"] = inputs
        body = Body(self.names, Scope(r, scope), own, blocks, inputs)
        self._let(block, body.scope, own)
        if not two and r.random() < 0.3:
            block["net"] = body.short()
        else:
            for _ in range(r.randint(1, 4)):
                body.statement()
            last = body.close()
            block["net"] = body.net
        if two:
            block["outputs"] = {
                "one": last,
                "two": body.net and next(reversed([t for t in body.tensors if "." not in t])),
            }
        name = self.names.draw("block", r.choice(["unit", "stage", "bottle_neck", "head"]), taken)
        spec["blocks"][name] = {key: part for key, part in block.items() if part != {}}
        blocks.append(Block(name, args, 2 if two else 1))

    def _chosen_block(self, spec: Spec, taken: set[str], blocks: list[Block]) -> None:
        """An argument that holds a block, as `block: bottleneck` does in a ResNet."""
        own = [block for block in blocks if block.name in spec["blocks"] and block.ports == 1]
        if own and self.random.random() < 0.3:
            block = self.random.choice(own)
            name = self.names.draw("argument", "chosen", taken)
            spec["args"][name] = block.name
            blocks.append(Block(name, block.args))

    def _shared(self, spec: Spec, body: Body) -> None:
        if self.random.random() < 0.25:
            name = self.names.draw("shared", "common", body.taken)
            spec["shared"] = {name: self.random.choice(["conv2d 3 1", [body.conv(), "relu"], body.call("")])}
            first = body.put("conv2d 4 1 @image")
            second = body.put("conv2d 4 3 padding=1 @image")
            body.loose = [t for t in body.loose if t not in (first, second)]
            body.put(f"{name} @{first}")
            body.put(f"{name} @{second}")
            if isinstance(spec["shared"][name], str) and self.random.random() < 0.5:
                around = self.names.draw("block", "around", body.taken)
                spec["blocks"][around] = {"net": {"lead": "conv2d 4 1", "mid": name, "last": "conv2d 3 1"}}
                body.put(f"{around} @image")
                body.put(f"{around} @{first}")

    def _finish(self, spec: Spec, body: Body, small: bool) -> None:
        r = self.random
        extra = [t for t in body.tensors[1:] if "." not in t]
        last = body.close()
        if small:
            return
        head = body.name("head")
        body.net[head] = [f"adaptive_avg_pool2d 1 @{last}", "flatten", f"linear {body.scope.count(1)}"]
        outputs: Spec = {self.names.draw("output", "logits", {"image"}): head}
        if extra and r.random() < 0.3:
            outputs[self.names.draw("output", "map", {*outputs, "image"})] = r.choice(extra)
        if extra and r.random() < 0.2:
            outputs[self.names.draw("output", "aux", {*outputs, "image"})] = {"from": r.choice(extra), "when": "train"}
        spec["outputs"] = outputs
        if r.random() < 0.3:
            rules = (
                ("conv2d", "kaiming_normal mode=fan_out nonlinearity=relu"),
                ("conv2d", "zeros"),
                ("linear", "normal std=0.01"),
            )
            more = (
                ("batch_norm2d", "zeros"),
                ("conv2d.bias", "constant 0.25"),
                ("parameter", "ones"),
                ("*head*.bias", "constant 0.5"),
            )
            spec["init"] = dict(r.sample([*rules, *more], r.randint(1, 3)))


def random_files(seed: int) -> dict[str, str]:
    """File name → YAML text of one network, `main.yaml` first; equal seeds give equal specs."""
    return as_text(Maker(seed).make())


def as_text(files: dict[str, Spec]) -> dict[str, str]:
    """Specs as YAML."""
    return {name: yaml.safe_dump(spec, sort_keys=False, width=10_000) for name, spec in files.items()}


def judged(files: dict[str, Spec]) -> int | None:
    """As `judge` says; raises Wrong."""
    with TemporaryDirectory(prefix="netc-") as folder:
        for name, text in as_text(files).items():
            (Path(folder) / name).write_text(text, "utf-8")
        with step("judge"):
            return judge(Path(folder) / "main.yaml")


def smallest(files: dict[str, Spec], kind: str) -> dict[str, Spec]:
    """A smaller spec whose module is wrong in the same way."""

    def fails(tried: dict[str, Spec]) -> bool:
        try:
            judged(tried)
        except Wrong as wrong:
            return wrong.kind == kind
        return False

    return shrink(files, fails)


def outcome(seed: int, shrinking: bool = True) -> tuple[str, str]:
    """`right`, `refused` or how it is wrong, and then what shows it."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    files = Maker(seed).make()
    try:
        return ("refused" if judged(files) is None else "right"), ""
    except Wrong as wrong:
        small = smallest(files, wrong.kind) if shrinking else files
        shown = "\n".join(f"# {name}\n{text}" for name, text in as_text(small).items())
        return wrong.kind, f"seed {seed}: {wrong}\n{shown}"


def outcomes(seeds: range, shrinking: bool, jobs: int) -> Iterator[tuple[str, str]]:
    """In the order of the seeds."""
    work = partial(outcome, shrinking=shrinking)
    if jobs == 1:
        yield from map(work, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(work, seeds, chunksize=8)


@click.command()
@click.option("--cases", default=2_000, show_default=True, help="How many specs.")
@click.option("--seed", default=0, show_default=True, help="The first of them.")
@click.option("--jobs", default=1, show_default=True, help="Processes.")
@click.option("--shrink/--no-shrink", "shrinking", default=True, help="Show what fails as small as it still fails.")
def main(cases: int, seed: int, jobs: int, shrinking: bool) -> None:
    """Build the modules of random specs and compare them with the IR; exit code 1 where any is wrong."""
    started, counts, told = time.perf_counter(), Counter[str](), []
    with progress("specs") as report:
        for done, (kind, text) in enumerate(outcomes(range(seed, seed + cases), shrinking, jobs), 1):
            counts[kind] += 1
            told += [text] if text else []
            report(done, cases)
    took = time.perf_counter() - started
    listed = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    click.echo("\n".join(told))
    click.echo(f"{cases:,} random specs from seed {seed} in {took:.0f} s: {listed}")
    if told:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
