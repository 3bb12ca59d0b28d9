"""Spec files in a folder, for tests of imports."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

from spectext import Made, shown, spec

from netc.passes import compile_spec

BODY = """
    netc: 1
    args: {width: 8, act: relu}
    let: {wide: 2*width}
    variants: {small: {}, large: {width: 16}}
    inputs: {image: [N, 3, 32*h, 32*w]}
    defaults: {conv2d: {bias: false}}
    blocks:
      unit: {args: c, net: [conv2d c 3 padding=1, act]}
    net:
      layer1: unit width
      layer2: [unit wide, max_pool2d 2]
      pool: adaptive_avg_pool2d 1
      flatten: flatten
      fc: linear 10 bias=false
"""


class Folder:
    """Spec files in a folder; the one called main.yaml is elaborated."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(text), encoding="utf-8")

    def elaborate(self, main: str, **options: Any) -> Any:
        self.write("main.yaml", main)
        return compile_spec(str(self.path / "main.yaml"), **options)

    def made(self, main: str, ignore: tuple[str, ...] = (), **options: Any) -> Made:
        network, found = self.elaborate(main, **options)
        assert network is not None, "\n".join(shown(found))
        assert [d.code for d in found if d.code not in ignore] == []
        return Made(network)

    def codes(self, main: str, **options: Any) -> list[str]:
        network, found = self.elaborate(main, **options)
        assert network is None
        return [d.code for d in found]


def main(net: str, head: str = "import: {body: body.yaml}", image: str = "[N, 3, 32*h, 32*w]") -> str:
    return spec(net, head, image)
