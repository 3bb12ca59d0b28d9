"""Writes netc/backends/diagram/widths.json: how wide the letters of Liberation Sans are, in thousandths of its size.

python -m tools.widths /usr/share/fonts/truetype/liberation
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from fontTools.ttLib import TTFont

TARGET = Path(__file__).parents[1] / "netc" / "backends" / "diagram" / "widths.json"
RANGES = ((0x20, 0x250), (0x370, 0x460), (0x2010, 0x2060), (0x2070, 0x20D0), (0x2190, 0x2200), (0x2200, 0x2400))
FACES = {"regular": "LiberationSans-Regular.ttf", "bold": "LiberationSans-Bold.ttf"}


def widths(face: Path) -> dict[str, str]:
    """Width → the characters that are so wide."""
    font = TTFont(face)
    glyphs, advances, em = font.getBestCmap(), font["hmtx"].metrics, font["head"].unitsPerEm
    found: defaultdict[int, str] = defaultdict(str)
    for start, end in RANGES:
        for code in range(start, end):
            if code in glyphs and chr(code).isprintable():
                found[round(advances[glyphs[code]][0] * 1000 / em)] += chr(code)
    return {str(width): found[width] for width in sorted(found)}


if __name__ == "__main__":
    data = {name: widths(Path(sys.argv[1]) / file) for name, file in FACES.items()}
    TARGET.write_text(json.dumps(data, ensure_ascii=False, indent=0) + "\n", "utf-8")
