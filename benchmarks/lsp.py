"""How long `netc lsp` takes to answer, measured over the protocol by a client in another process.

A keystroke is a change of one character in the middle of the text; its answer is what the server then says is wrong,
the pause that it waits for more keystrokes included. Completion is asked for behind a statement's name. The medians
over several keystrokes are compared with the goals: every spec of `specs/` 100 ms, 2,000 statements 500 ms, a
completion 50 ms. The slowest are printed. 10,000 statements in blocks of fifty, of which a keystroke touches none, are
measured beside them, without a goal.

    PYTHONPATH=. python benchmarks/lsp.py [--runs 5] [NAME …]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from lsprotocol import types as lsp

from tests.editor import ROOT, Editor, editor

KEYSTROKE, LARGE, COMPLETION = 100, 500, 50
"""Goals in milliseconds."""
STATEMENTS = 2000
BLOCKS, EACH = 200, 50
SHOWN = 5


def large(folder: Path) -> Path:
    """A spec of 2,000 statements."""
    lines = [f"  a{i}: conv2d 16 3 padding=1" if i % 3 else f"  a{i}: batch_norm2d" for i in range(STATEMENTS)]
    path = folder / "large.yaml"
    path.write_text("\n".join(["netc: 1", "name: large", "inputs: {image: [N, 16, 32, 32]}", "net:", *lines, ""]))
    return path


def parted(folder: Path) -> Path:
    """A spec of 200 blocks with fifty statements in each."""
    blocks = [
        line
        for block in range(BLOCKS)
        for line in (f"  b{block}:", "    net:", *(f"      a{i}: conv2d 16 3 padding=1" for i in range(EACH)))
    ]
    calls = [f"  c{block}: b{block}" for block in range(BLOCKS)]
    path = folder / "parted.yaml"
    head = ["netc: 1", "name: parted", "inputs: {image: [N, 16, 32, 32]}", "blocks:"]
    path.write_text("\n".join([*head, *blocks, "net:", *calls, ""]))
    return path


async def measured(one: Editor, path: Path, runs: int) -> tuple[float, float]:
    """Milliseconds of a keystroke and of a completion."""
    uri = await one.open(path)
    spot = one.texts[uri].index("\nnet:") + 1
    strokes, completions = [], []
    for run in range(runs):
        before, after = ("net:", f"net:  # {run}") if run == 0 else (f"net:  # {run - 1}", f"net:  # {run}")
        start = time.perf_counter()
        one.type(uri, before, after)
        await one.found(uri)
        strokes.append(time.perf_counter() - start)
        line = one.position(uri, spot).line + 1
        params = lsp.CompletionParams(lsp.TextDocumentIdentifier(uri), lsp.Position(line, 5))
        start = time.perf_counter()
        await one.client.text_document_completion_async(params)
        completions.append(time.perf_counter() - start)
    return median(strokes) * 1000, median(completions) * 1000


async def session(names: list[str], runs: int) -> int:
    specs = [path for path in sorted((ROOT / "specs").glob("*.yaml")) if not names or path.stem in names]
    failed = False
    with TemporaryDirectory() as folder:
        async with editor(ROOT) as one:
            found = {path.stem: await measured(one, path, runs) for path in specs}
            whole = await measured(one, large(Path(folder)), runs)
            blocks = await measured(one, parted(Path(folder)), runs)
    for name, (stroke, _) in sorted(found.items(), key=lambda pair: -pair[1][0])[:SHOWN]:
        failed |= stroke > KEYSTROKE
        print(f"{name:24} {stroke:6.0f} ms after a keystroke (goal {KEYSTROKE})")
    print(f"{f'{STATEMENTS} statements':24} {whole[0]:6.0f} ms after a keystroke (goal {LARGE})")
    print(f"{f'{BLOCKS * EACH:,} in {BLOCKS} blocks':24} {blocks[0]:6.0f} ms after a keystroke")
    slowest = max(completion for _, completion in [*found.values(), whole])
    print(f"{'completion':24} {slowest:6.1f} ms at most (goal {COMPLETION})")
    return int(failed or whole[0] > LARGE or slowest > COMPLETION)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    return asyncio.run(session(chosen.names, chosen.runs))


if __name__ == "__main__":
    sys.exit(main())
