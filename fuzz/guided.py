"""A process that feeds one harness, guided by what it covers: `python -m fuzz.guided NAME FOLDER SECONDS SEED`.

Whatever the harness raises is kept once for each place that raises it, and the run goes on; hangs and crashes of native
code end it, and libFuzzer keeps what it was fed with.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import atheris

SLOW, MEMORY = 20, 4096
"""Seconds that one input may take, and megabytes that a run may."""

LONGEST = {"expression": 300, "line": 400, "loader": 4000, "compile": 4000, "rewrite": 4000, "networks": 8}
"""Bytes of an input, 20,000 for others."""


class Watched:
    """A harness whose findings are kept: `crash-…` and beside it `crash-….txt`, what was raised."""

    def __init__(self, run: Callable[[bytes], None], folder: Path) -> None:
        self.run, self.folder = run, folder
        self.known: set[tuple[str, str, int]] = set()

    def __call__(self, data: bytes) -> None:
        try:
            self.run(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = type(error).__name__, last.filename, last.lineno or 0
            if place not in self.known:
                self.known.add(place)
                path = self.folder / f"crash-{hashlib.sha1(data, usedforsecurity=False).hexdigest()[:12]}"
                path.write_bytes(data)
                path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), "utf-8")


def main(name: str, folder: Path, seconds: int, seed: int) -> None:
    """Does not return: libFuzzer ends the process."""
    with atheris.instrument_imports(include=["netc"]):
        from fuzz.harnesses import HARNESSES

        harness = HARNESSES[name]
        for data in harness.seeds():  # what loads late is instrumented too
            harness.run(data)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for at, data in enumerate(harness.seeds()):
        (corpus / f"seed{at}").write_bytes(data)
    options = [f"-max_total_time={seconds}", f"-timeout={SLOW}", f"-rss_limit_mb={MEMORY}", "-print_final_stats=1"]
    options += [f"-artifact_prefix={folder}/", f"-max_len={LONGEST.get(name, 20_000)}", "-use_value_profile=1"]
    options += [f"-seed={seed}"] if seed else []
    if harness.words:
        words = folder / "words"
        words.write_text("\n".join(map(_quoted, harness.words)))
        options.append(f"-dict={words}")
    mutate = harness.mutate
    given = {} if mutate is None else {"custom_mutator": lambda d, n, s: mutate(d, n, s, atheris.Mutate)}
    atheris.Setup(["fuzz", *options, str(corpus)], Watched(harness.run, folder), **given)
    atheris.Fuzz()


def _quoted(word: str) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"'


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
