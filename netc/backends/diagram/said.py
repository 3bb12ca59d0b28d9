"""Blocks in the author's words: `4·width` where the spec says so, resolved through calls and `let`s."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from netc.backends.diagram.units import Box, Look, Opened, Opener, Output, Wire, opened_wire
from netc.backends.diagram.words import value_text
from netc.expr.scope import Provenance, Scope
from netc.expr.tree import ATOM, OR, PRECEDENCE, SUM, Attribute, Binary, Expr, Function, Literal, Name, Unary, dotted
from netc.ir.flat import Home
from netc.ir.model import Block, Call, Group, Item, Node, Value

_SIGNS = {"*": "·", "!=": "≠", "<=": "≤", ">=": "≥", "-": "−", "==": "="}
_TIGHT = ("*", "/", "//", "+", "-")
LONGEST = 28

Words = Mapping[str, str]
"""The arguments of a block, as they are called where it is drawn."""


def said_text(said: Provenance, words: Words, longest: int = LONGEST) -> str:
    """The expression for a reader; "" where it cannot be said in these words, or only at length."""
    phrase = _text(said.expr, said.scope, words)
    text = "" if phrase is None else phrase[0]
    return text if len(text) <= longest else ""


def _text(expr: Expr, scope: Scope, words: Words) -> tuple[str, int] | None:
    """The text and how tightly it binds."""
    match expr:
        case Literal(value=value):
            return value_text(value), ATOM
        case Name(id=name):
            return _named(name, scope, words)
        case Attribute():
            path = dotted(expr)
            return None if path is None else (path, ATOM)
        case Unary(op="-", operand=operand):
            inner = _text(operand, scope, words)
            return None if inner is None else (f"−{inner[0]}", SUM)
        case Binary(op=op, left=left, right=right) if op not in ("in", "%", "**"):
            return _joined(op, _text(left, scope, words), _text(right, scope, words))
        case Function(name=name, arguments=arguments):
            inner_texts = [_text(argument, scope, words) for argument in arguments]
            texts = [text[0] for text in inner_texts if text is not None]
            return (f"{name}({', '.join(texts)})", ATOM) if len(texts) == len(arguments) else None
    return None


def _named(name: str, scope: Scope, words: Words) -> tuple[str, int] | None:
    binding_and_scope = scope.find(name)
    if binding_and_scope is None:
        return name, ATOM
    binding, _ = binding_and_scope
    if binding.kind == "let" and binding.said is not None:
        return _text(binding.said.expr, binding.said.scope, words)
    if binding.kind == "argument" and name in words:
        text = words[name]
        return text, ATOM if re.fullmatch(r"[\w.·]+", text) else OR
    return (value_text(binding.value), ATOM) if binding.kind != "loop" else None


def _joined(op: str, left: tuple[str, int] | None, right: tuple[str, int] | None) -> tuple[str, int] | None:
    if left is None or right is None:
        return None
    if op == "*" and "1" in (left[0], right[0]):
        return right if left[0] == "1" else left
    if op in ("*", "+") and left[0].isdigit() and right[0].isdigit():
        value = int(left[0]) * int(right[0]) if op == "*" else int(left[0]) + int(right[0])
        return str(value), ATOM
    rank = PRECEDENCE[op]
    a = left[0] if left[1] >= rank else f"({left[0]})"
    b = right[0] if right[1] > rank or (right[1] == rank and op in ("*", "+", "or", "and")) else f"({right[0]})"
    sign = _SIGNS.get(op, op)
    return (f"{a}{sign}{b}" if op in _TIGHT else f"{a} {sign} {b}"), rank


class _SaidOpener(Opener):
    """Opens a block whose numbers are said in its own arguments."""

    words: Words = {}

    def _box(self, node: Node, look: Look) -> Box:
        box = super()._box(node, look)
        return msgspec.structs.replace(box, caption=_in_words(node, box.caption, self.words))

    def _inner(self, call: Call, env: dict[Value, Wire], path: str, home: Home, shared: str) -> Opener:
        opener = _SaidOpener(env, path, home, shared)
        opener.words = words_of(call, self.words)
        return opener


def words_of(call: Call, words: Words) -> Words:
    """The arguments of a call, in the words of what it stands in; values where they cannot be said so."""
    said = {name: said_text(call.said[name], words) for name in call.block.arguments if name in call.said}
    return {name: said.get(name) or value_text(value) for name, value in call.block.arguments.items()}


def _in_words(node: Node, caption: str, words: Words) -> str:
    """The caption with the author's words in the place of numbers they stand for."""
    parts = [part for part in caption.split(", ") if part]
    for name, said in node.said.items():
        value = getattr(node.op, name, None)
        number = value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
        text = said_text(said, words)
        if not isinstance(number, int) or isinstance(number, bool) or not re.search("[A-Za-z]", text):
            continue
        bare = [str(number), "×".join([str(number)] * (len(value) if isinstance(value, tuple) else 1))]
        told = bare if node.op.attributes[name].required else [f"{name[0]}{number}"]
        at = next((n for n, part in enumerate(parts) if part in told), None)
        if at is None:
            parts.append(f"{name[0]}={text}")
        elif told is not bare:
            parts[at] = f"{name[0]}={text}"
        else:
            parts[at] = "×".join([text] * (1 + parts[at].count("×")))
    return ", ".join(parts)


def opened_call(call: Call, path: str, words: Words) -> Opened:
    """A block opened as one call of it, its numbers said in its arguments."""
    env = {value: opened_wire(value.type) for value in call.block.inputs}
    inputs = tuple((value.path, wire) for value, wire in env.items())
    opener = _SaidOpener(env, path, Home(path), "")
    opener.words = words
    units = tuple(opener.units(call.block.items))
    outputs = tuple(Output(o.name, env[o.value], o.train_only) for o in call.block.outputs)
    return Opened(inputs, units, outputs)


def conditions(block: Block, words: Words) -> list[str]:
    """`if stride ≠ 1 or in.C ≠ 4·width`, or `unless …`, for each condition that chose this form of a block."""
    texts = []
    for group in _groups(block.items):
        if group.kind == "if" and "condition" in group.said:
            text = said_text(group.said["condition"], words, 80)
            if re.search("[A-Za-z]", text) and text not in ("true", "false"):
                texts.append(f"{'if' if group.taken else 'unless'} {text}")
    return list(dict.fromkeys(texts))


def _groups(items: tuple[Item, ...]) -> Iterator[Group]:
    for item in items:
        if isinstance(item, Group):
            yield item
            yield from _groups(item.items)
