"""`netc weights` as the tests call it, and weights to compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from click.testing import CliRunner, Result

from netc.cli.main import cli


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["weights", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def convert(*arguments: str | Path) -> str:
    result = run("convert", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.output


def refused(*arguments: str | Path) -> str:
    result = run("convert", *arguments)
    assert result.exit_code == 1
    return result.stderr


def module() -> torch.nn.Module:
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 5))


def same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor) for name, tensor in expected.items()
    )
