"""The JSON Schema takes what netc takes, and refuses what it can know to be wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import netc
from netc.cli.main import cli
from netc.editor.expansion import expand
from netc.editor.schema import json_schema
from netc.ops.base import OPERATORS

ROOT = Path(__file__).parent.parent
SPECS = sorted(path for folder in ("specs", "examples", "netc/library") for path in (ROOT / folder).glob("*.yaml"))


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, which editors and netc read: `no`, `on` and `1:30` are words."""


Core.yaml_implicit_resolvers = {}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))
Core.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?\d+$"), list("-+0123456789"))
Core.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$"), list("-+.0123456789")
)
Core.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(node)))


def read(text: str) -> Any:
    return yaml.load(text, Core)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_specs_are_valid(path: Path, validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(read(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize("path", [p for p in SPECS if p.parent.name != "library"][::4], ids=lambda path: path.stem)
def test_the_long_form_is_valid(path: Path, validator: Draft202012Validator) -> None:
    data = read(expand(netc.load(path).ir))
    assert [error.message[:300] for error in validator.iter_errors(data)] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("net:", "nett:"),
        ("netc: 1", "netc: 2"),
        ("padding: 1", "pading: 1"),
        ("padding: 1", "padding: true"),
        ("bias: false", "bias: 3"),
        ("stride: 2", "stride: 0"),
        ("float32", "float23"),
        ("op: conv2d", "operator: conv2d"),
        ("if: true", "when: true"),
        ("lost-input: error", "lost-inputs: error"),
        ("lost-input: error", "lost-input: wrong"),
        ("- relu", "- (relu)"),
        ("when: train", "when: eval"),
        ("that: in.C == 3", "what: in.C == 3"),
        ("conv2d: {bias", "conv_2d: {bias"),
    ],
)
def test_what_is_wrong_is_refused(before: str, after: str, validator: Draft202012Validator) -> None:
    text = """
netc: 1
inputs: {image: {shape: [N, 3, 32*h, 32], dtype: float32}}
lint: {lost-input: error}
defaults: {conv2d: {bias: false}}
net:
  a: {op: conv2d, args: {out_channels: 8, kernel_size: 3, padding: 1, stride: 2}, inputs: [image]}
  b: {if: true, do: relu}
  c: [relu, {do: "@b"}]
  d:
    - relu
outputs: {out: d, side: {from: a, when: train}}
checks: [{that: in.C == 3, message: no}]
"""
    assert validator.is_valid(read(text))
    assert before in text
    assert not validator.is_valid(read(text.replace(before, after, 1)))


def test_every_operator_and_attribute_is_described() -> None:
    defined = json_schema()["$defs"]
    for name, cls in OPERATORS.items():
        properties = defined[f"op-{name}"]["properties"]
        assert list(properties)[: len(cls.attributes)] == list(cls.attributes)
        assert all(part["description"] for part in properties.values())


def test_the_command_writes_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["schema", "-o", str(tmp_path / "netc.schema.json")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "netc.schema.json").read_text(encoding="utf-8")) == json_schema()
