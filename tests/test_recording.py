"""The recording of the editor is a run of the language server: what it shows in the end is what the server says."""

from __future__ import annotations

import asyncio
from html import escape
from xml.etree import ElementTree as ET

import netc
from tools.recording import TARGET, record


def test_the_recording_shows_what_the_server_says() -> None:
    frames = asyncio.run(record())
    last = frames[-1]
    assert netc.load(last.text).outputs["logits"].shape[1] == 10
    assert (last.wrong, len(last.hints)) == ((), 5)
    assert any(frame.chosen == "bias=" for frame in frames)
    assert any(frame.wrong and frame.chosen.startswith("add `padding=1`") for frame in frames)
    kept = TARGET.read_text("utf-8")
    ET.fromstring(kept)
    told = {label for frame in frames for _, label in frame.hints} | {frame.told for frame in frames if frame.told}
    assert [one for one in sorted(told) if escape(one) not in kept] == [], "run `python -m tools.recording`"
