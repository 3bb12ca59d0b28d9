"""Thousands of damaged weights files of every kind: each is read or refused in words, soon, in little memory."""

from __future__ import annotations

import random
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from test_weights_files import files, outcome

ROUNDS = 600
KINDS = ("w.safetensors", "w.pt", "old.pt", "w.npz", "c.npz", "model.safetensors.index.json")
WORDS = (
    *(b"-1", b"1e400", b"NaN", b"9" * 30, b"null", b"[", b"]", b"{", b"}", b'"', b":", b",", b"\\ud800", b"\\u0000"),
    *(b"../", b"/etc/passwd", b"C:\\", b"\x00", b"\xff", b"F64", b"BOOL", b"__metadata__", b"\x80\x02", b"."),
    *(b"c__builtin__\neval\n", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"),
)

Damage = Callable[[bytearray, int, random.Random], None]


def flip(data: bytearray, at: int, dice: random.Random) -> None:
    data[at] ^= 1 << dice.randrange(8)


def overwrite(data: bytearray, at: int, dice: random.Random) -> None:
    word = dice.choice(WORDS)
    data[at : at + len(word)] = word


def insert(data: bytearray, at: int, dice: random.Random) -> None:
    data[at:at] = dice.choice(WORDS)


def leave_out(data: bytearray, at: int, dice: random.Random) -> None:
    del data[at : at + dice.randrange(1, 40)]


def repeat(data: bytearray, at: int, dice: random.Random) -> None:
    data[at:at] = data[at : at + dice.randrange(1, 40)]


def number(data: bytearray, at: int, dice: random.Random) -> None:
    size = dice.choice((2, 4, 8))
    value = dice.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1, dice.randrange(1 << 16)))
    data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")


def cut(data: bytearray, at: int, dice: random.Random) -> None:
    del data[at:]


DAMAGES: tuple[Damage, ...] = (flip, flip, overwrite, insert, leave_out, repeat, number, cut)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("weights")
    return folder, files(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind: str, whole: tuple[Path, dict[str, bytes]]) -> None:
    folder, good = whole
    dice, path, outcomes = random.Random(kind), folder / f"damaged-{kind}", []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(ROUNDS):
        data = bytearray(good[kind])
        for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
            if data:
                dice.choice(DAMAGES)(data, dice.randrange(len(data)), dice)
        path.write_bytes(data)
        begin = time.process_time()
        with warnings.catch_warnings(action="error"):
            outcomes.append(outcome(path))
        assert time.process_time() - begin < 2
    assert set(outcomes) == {"read", "weights-file"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
