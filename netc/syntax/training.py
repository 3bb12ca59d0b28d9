"""The `train` key: how a network is trained, in PyTorch's words, with everything about it that can be known checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from netc.diagnostics.suggest import listed
from netc.dims import Domain
from netc.expr.evaluate import Context, ExprError, evaluate
from netc.expr.scope import Scope
from netc.syntax import nodes
from netc.syntax.ast import Argument, Line, Setting, Text, Training
from netc.syntax.findings import SourceFindings
from netc.syntax.nodes import Node, Scalar
from netc.syntax.statements import StatementReader
from netc.syntax.values import argument, arguments, check_keys, entries_of, scalar_of, wrong_kind


class ArgumentKind(msgspec.Struct, frozen=True):
    """What a value must be, in words, and whether it is that."""

    wanted: str
    fits: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


POSITIVE = ArgumentKind("a number above 0", lambda value: _number(value) and value > 0)
NUMBER = ArgumentKind("a number of at least 0", lambda value: _number(value) and value >= 0)
SHARE = ArgumentKind("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1)
WHOLE = ArgumentKind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
COUNT = ArgumentKind("a whole number of at least 1", _count)
NATURAL = ArgumentKind("a whole number of at least 0", lambda value: value == 0 or _count(value))
FLAG = ArgumentKind("true or false", lambda value: isinstance(value, bool))
RISING = ArgumentKind(
    "a list of rising epochs such as (30 60)",
    lambda value: isinstance(value, tuple) and all(map(_count, value)) and list(value) == sorted({*value}),
)
PAIR = ArgumentKind(
    "two numbers from 0 to 1",
    lambda value: isinstance(value, tuple) and len(value) == 2 and all(map(SHARE.fits, value)),
)


class Recipe(msgspec.Struct, frozen=True):
    """A word and its arguments. torch: the name of the class or function; required: arguments without a default."""

    torch: str
    takes: Mapping[str, ArgumentKind] = {}
    required: tuple[str, ...] = ()


_RATES = {"lr": POSITIVE, "weight_decay": NUMBER}
_ADAM = {**_RATES, "betas": PAIR, "eps": POSITIVE, "amsgrad": FLAG}

LOSSES = {
    "cross_entropy": Recipe("cross_entropy", {"label_smoothing": SHARE, "ignore_index": WHOLE}),
    "nll_loss": Recipe("nll_loss", {"ignore_index": WHOLE}),
    "mse_loss": Recipe("mse_loss"),
    "l1_loss": Recipe("l1_loss"),
    "smooth_l1_loss": Recipe("smooth_l1_loss", {"beta": POSITIVE}),
    "huber_loss": Recipe("huber_loss", {"delta": POSITIVE}),
    "binary_cross_entropy_with_logits": Recipe("binary_cross_entropy_with_logits"),
}
OPTIMIZERS = {
    "sgd": Recipe("SGD", {**_RATES, "momentum": SHARE, "dampening": NUMBER, "nesterov": FLAG}, ("lr",)),
    "adam": Recipe("Adam", _ADAM, ("lr",)),
    "adamw": Recipe("AdamW", _ADAM, ("lr",)),
    "rmsprop": Recipe(
        "RMSprop", {**_RATES, "alpha": SHARE, "eps": POSITIVE, "momentum": SHARE, "centered": FLAG}, ("lr",)
    ),
}
SCHEDULES = {
    "step": Recipe("StepLR", {"step_size": COUNT, "gamma": POSITIVE}, ("step_size",)),
    "multi_step": Recipe("MultiStepLR", {"milestones": RISING, "gamma": POSITIVE}, ("milestones",)),
    "exponential": Recipe("ExponentialLR", {"gamma": POSITIVE}, ("gamma",)),
    "cosine": Recipe("CosineAnnealingLR", {"T_max": COUNT, "eta_min": NUMBER}),
    "plateau": Recipe("ReduceLROnPlateau", {"factor": SHARE, "patience": COUNT, "threshold": NUMBER, "min_lr": NUMBER}),
    "cyclic": Recipe(
        "CyclicLR", {"base_lr": POSITIVE, "max_lr": POSITIVE, "step_size_up": COUNT, "step_size_down": COUNT},
        ("base_lr", "max_lr"),
    ),
    "one_cycle": Recipe("OneCycleLR", {"max_lr": POSITIVE, "pct_start": SHARE}, ("max_lr",)),
}  # fmt: skip
AVERAGES = {
    "ema": Recipe("", {"decay": SHARE}, ("decay",)),
    "swa": Recipe("", {"start": COUNT, "lr": POSITIVE}, ("start",)),
}
PRECISIONS = ("float32", "bfloat16", "float16")

WORDS: Mapping[str, Mapping[str, Recipe]] = {
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "average": AVERAGES,
}
"""Keys whose value is a word with arguments."""

NUMBERS = {"epochs": COUNT, "batch": COUNT, "clip": POSITIVE, "seed": NATURAL}
TEXTS = ("data", "folder", "precision")
TRAIN_KEYS = (*WORDS, *NUMBERS, *TEXTS, "groups")


class TrainingReader:
    """Reads the `train` key and reports what is wrong with it."""

    def __init__(self, report: SourceFindings) -> None:
        self.report = report

    def read(self, node: Node) -> Training | None:
        """None where the key is absent or has an error."""
        if not isinstance(node, nodes.Mapping):
            entries_of(self.report, node, "`train`", "write `train: {optimizer: sgd lr=0.1, epochs: 90}`")
            return None
        check_keys(self.report, node, TRAIN_KEYS, "`train`")
        values = {key: self._value(key, value) for key in TRAIN_KEYS if (value := node.get(key)) is not None}
        for key in ("optimizer", "epochs"):
            if node.get(key) is None:
                help = f"write `{key}: {'sgd lr=0.1 momentum=0.9' if key == 'optimizer' else 90}`"
                self.report.error("missing-key", f"`{key}` of `train` is missing", node.start, node.start, help=help)
        if "data" in values and "folder" in values:
            self.report.at("bad-argument", "`data` and `folder` both say where the data come from", node)
        settings = {key: value for key, value in values.items() if value is not None}
        complete = {"optimizer", "epochs"} <= settings.keys()
        return Training(span=self.report.span_of(node), **settings) if complete else None

    def _value(self, key: str, node: Node) -> Any:
        if key in WORDS:
            return self._setting(key, node, WORDS[key])
        if key in NUMBERS:
            return self._plain(key, node)
        if key == "groups":
            return self._groups(node)
        scalar = scalar_of(self.report, node, f"`{key}`")
        if scalar is None:
            return None
        if key == "precision" and scalar.text not in PRECISIONS:
            self.report.unknown("bad-value", "precision", scalar.text, scalar, PRECISIONS)
        elif key == "data" and not _is_function(scalar.text):
            help = "write the module and the function: `data: my_data:load`"
            self.report.at("bad-value", f"`{scalar.text}` does not name a function", scalar, help)
        else:
            return Text(scalar.text, self.report.span_of(scalar))
        return None

    def _setting(self, key: str, node: Node, recipes: Mapping[str, Recipe]) -> Setting | None:
        """`sgd lr=0.1 momentum=0.9`"""
        line = StatementReader(self.report).statement(node, f"`{key}`")
        if not isinstance(line, Line):
            if line is not None:
                wrong_kind(self.report, node, f"`{key}`", "a word with arguments", f"write `{next(iter(recipes))}`")
            return None
        recipe = recipes.get(line.op)
        if recipe is None:
            span = line.op_span
            word = Scalar(start=span.start, end=span.end, text=line.op, raw=line.op, quoted=False)
            self.report.unknown("bad-value", key, line.op, word, recipes)
            return None
        values = self._values(line.arguments, recipe.takes, line.op)
        for name in recipe.required:
            if name not in values and all(one.name is not None for one in line.arguments):
                span, help = line.op_span, f"write `{line.op} {name}=…`"
                self.report.error("missing-argument", f"`{line.op}` needs `{name}`", span.start, span.end, help=help)
        return Setting(line.op, values, line.span)

    def _values(self, arguments: tuple[Argument, ...], takes: Mapping[str, ArgumentKind], what: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for one in arguments:
            span = one.name_span or one.span
            if one.name is None:
                help = f"write `name=value`; `{what}` takes {listed(takes)}" if takes else f"`{what}` takes none"
                self.report.error("bad-argument", "arguments here have names", span.start, span.end, help=help)
            elif one.name not in takes:
                word = Scalar(start=span.start, end=span.end, text=one.name, raw=one.name, quoted=False)
                self.report.unknown("unknown-argument", f"argument of `{what}`:", one.name, word, takes)
            else:
                values[one.name] = self._constant(one, takes[one.name])
        return values

    def _constant(self, one: Argument, kind: ArgumentKind) -> Any:
        try:
            value = evaluate(one.value, Context(Scope(None, {}), Domain()))
        except ExprError as error:
            self.report.error(error.code, error.message, error.start, error.end)
            return None
        if not kind.fits(value):
            self.report.error("bad-value", f"`{one.name}` must be {kind.wanted}", one.value.start, one.value.end)
        return value

    def _plain(self, key: str, node: Node) -> Any:
        one = argument(self.report, Scalar(start=node.start, end=node.start, text=key, raw=key, quoted=False), node)
        return None if one is None else self._constant(one, NUMBERS[key])

    def _groups(self, node: Node) -> tuple[tuple[Text, Mapping[str, Any]], ...]:
        """`{fc: {lr: 0.1}, "layer4.*": {lr: 0.01, weight_decay: 0}}`"""
        groups = []
        for key, value in entries_of(self.report, node, "`groups`", "write `groups: {fc: {lr: 0.1}}`"):
            values = self._values(arguments(self.report, value, f"group `{key.text}`"), _RATES, "a group")
            groups.append((Text(key.text, self.report.span_of(key)), values))
        return tuple(groups)


def _is_function(text: str) -> bool:
    module, colon, function = text.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))
