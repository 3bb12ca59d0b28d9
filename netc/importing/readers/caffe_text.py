"""Protobuf's text form, as far as Caffe's files use it."""

from __future__ import annotations

import re

from netc.importing.graph import Gap

TOKEN = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|[{}:\[\],;]|[^\s{}:\[\],;\"']+")
DEEPEST = 50
MOST_TOKENS = 2_000_000


class Message:
    """Fields with their values in order, words or messages."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str | Message]] = {}

    def all(self, key: str) -> list[Message]:
        return [value for value in self.fields.get(key, []) if isinstance(value, Message)]

    def sub(self, key: str) -> Message:
        """The message of a field; an empty one where there is none."""
        return next(iter(self.all(key)), Message())

    def words(self, key: str) -> list[str]:
        return [value for value in self.fields.get(key, []) if isinstance(value, str)]

    def word(self, key: str) -> str:
        return next(iter(self.words(key)), "")

    def numbers(self, key: str) -> list[int]:
        return [int(value) for value in self.reals(key)]

    def number(self, key: str, default: int) -> int:
        return next(iter(self.numbers(key)), default)

    def reals(self, key: str) -> list[float]:
        try:
            numbers = [float(word) for word in self.words(key)]
        except ValueError as error:
            raise Gap(f"{key}: {self.word(key)[:40]} is not a number") from error
        if any(not abs(value) < 2**31 for value in numbers):
            raise Gap(f"{key}: {self.word(key)[:40]} is too large")
        return numbers

    def real(self, key: str, default: float) -> float:
        return next(iter(self.reals(key)), default)

    def flag(self, key: str, default: bool) -> bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(self.word(key).lower(), default)


def parsed(text: str) -> Message:
    """Raises Gap for what is no such text."""
    tokens = TOKEN.findall(re.sub(r"#[^\n]*", "", text))
    if len(tokens) > MOST_TOKENS:
        raise Gap("is too long")
    root = Message()
    stack, key = [root], ""
    for token in tokens:
        if token == "{":
            if not key or len(stack) > DEEPEST:
                raise Gap("its braces do not match")
            inner = Message()
            stack[-1].fields.setdefault(key, []).append(inner)
            stack.append(inner)
            key = ""
        elif token == "}":
            stack.pop()
            if not stack or key:
                raise Gap("its braces do not match")
        elif token in ":[],;":
            continue
        elif not key:
            key = token
        else:
            stack[-1].fields.setdefault(key, []).append(token.strip("\"'"))
            key = ""
    if len(stack) != 1 or key:
        raise Gap("ends unexpectedly")
    return root
