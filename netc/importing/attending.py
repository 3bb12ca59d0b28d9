"""Attention that was taken apart, and masks that hide what comes later."""

from __future__ import annotations

from math import isclose
from typing import Any

import numpy as np

from netc.dims import Size
from netc.importing.graph import Node, Value
from netc.importing.matching import Matcher, factor_of, rule, weight_of
from netc.importing.rearranging import MOVES

HIDDEN = -1e9
"""What a mask adds to hide a key: at most this, behind which the exponential of any usual score is 0."""


@rule("matmul")
def attention(m: Matcher, node: Node) -> bool:
    """softmax(q·kᵀ·scale + mask)·v"""
    soft = m.made_by(node.inputs[0], "softmax")
    if soft is None or soft.op.dim not in (-1, soft.inputs[0].type.rank - 1):  # type: ignore[attr-defined]
        return False
    gone = [soft]
    value, mask, causal = _unmasked(m, soft.inputs[0], gone)
    scale, value = _scaled(m, value, gone)
    product = m.made_by(value, "matmul")
    if product is None:
        return False
    gone.append(product)
    more, q = _scaled(m, product.inputs[0], gone)
    width = q.type.shape[-1]
    if not isinstance(width, int):
        return False
    last, swapped = _scaled(m, product.inputs[1], gone)
    again, k = _turned(m, swapped, gone)
    if k is None:
        return False
    scale *= more * last * again
    if causal and scale <= 0:
        return False
    given: dict[str, Any] = {"is_causal": True} if causal else {}
    if not isclose(scale, width**-0.5, rel_tol=1e-6):
        given["scale"] = float(np.format_float_positional(np.float32(scale), unique=True))
    ok = m.become(node, "scaled_dot_product_attention", [q, k, node.inputs[1]], gone, **given)
    if mask is not None:
        node.references = {"attn_mask": mask}
        m.readers[mask].append(node)
        m.graph.settle(node)
    return ok


def _unmasked(m: Matcher, value: Value, gone: list[Node]) -> tuple[Value, Value | None, bool]:
    """The scores without their mask, the mask, and whether it hides what comes later instead."""
    hiding = m.made_by(value, "where", "masked_fill")
    if hiding is not None and len(hiding.inputs) == 2:
        condition, scores = hiding.inputs if hiding.op.name == "where" else hiding.inputs[::-1]
        if _is_later(hiding.op, _known(condition), scores):
            gone.append(hiding)
            return scores, None, True
    plus = m.made_by(value, "add")
    if plus is None or len(plus.inputs) != 2:
        return value, None, False
    mask = next((v for v in plus.inputs if m.made_by(v, "mul", "div", "matmul") is None), None)
    if mask is None:
        return value, None, False
    gone.append(plus)
    return next(v for v in plus.inputs if v is not mask), mask, False


def _is_later(op: Any, condition: Any, scores: Value) -> bool:
    """Whether the keys that come after a query are hidden from it, and no others: where a condition holds or where it
    does not, scores are a number so low that their keys are not seen."""
    if condition is None or condition.dtype != bool:
        return False
    hidden = ~condition if op.name == "where" and op.input is None else condition
    number = op.value if op.name == "masked_fill" else op.other if op.input is None else op.input
    return number is not None and number <= HIDDEN and _hides_later(hidden, *scores.type.shape[-2:])


COMPARED = {"eq": np.equal, "ne": np.not_equal}


def _known(condition: Value) -> Any:
    """What a fixed tensor, or its comparison with a number, holds; None where that depends on the input."""
    weight, node = weight_of(condition), condition.maker
    if weight is not None:
        return weight.array()
    if node is None or node.op.name not in COMPARED or len(node.inputs) != 1 or node.references:
        return None
    weight = weight_of(node.inputs[0])
    return None if weight is None else COMPARED[node.op.name](weight.array(), node.op.other)  # type: ignore[attr-defined]


def _hides_later(hidden: Any, queries: Size, keys: Size) -> bool:
    """Is it one mask for all heads, which hides the keys behind each query and no others?"""
    if not isinstance(queries, int) or queries != keys or hidden.shape[-2:] != (queries, queries):
        return False
    later = np.triu(np.ones((queries, queries)), 1) == 1
    return bool(hidden.size == queries * queries and (hidden.reshape(queries, queries) == later).all())


def _turned(m: Matcher, value: Value, gone: list[Node]) -> tuple[float, Value | None]:
    """A factor of transposed keys, and the keys as they were; those that lie turned by other moves are turned back."""
    turn = m.made_by(value, "transpose")
    rank = value.type.rank
    if turn is not None and {turn.op.dim0 % rank, turn.op.dim1 % rank} == {rank - 2, rank - 1}:  # type: ignore[attr-defined]
        gone.append(turn)
        return _scaled(m, turn.inputs[0], gone)
    move = m.made_by(value, *MOVES)
    if move is None:
        return 1.0, None
    return 1.0, m.behind(move, "transpose", dim0=rank - 2, dim1=rank - 1)


def _scaled(m: Matcher, value: Value, gone: list[Node]) -> tuple[float, Value]:
    """A factor of a value, and the value without it."""
    node = m.made_by(value, "mul", "div")
    factor = factor_of(node) if node is not None else None
    if node is None or factor is None:
        return 1.0, value
    gone.append(node)
    return factor, node.inputs[0]


@rule("scaled_dot_product_attention")
def causal(m: Matcher, node: Node) -> bool:
    """A mask that hides from each query the keys behind its own place."""
    op: Any = node.op
    mask = node.references.get("attn_mask")
    weight = weight_of(mask) if mask is not None else None
    if mask is None or weight is None or (op.scale is not None and op.scale <= 0):
        return False
    array = weight.array()
    hidden = ~array if array.dtype == bool else array <= HIDDEN
    if array.dtype != bool and not (array[~hidden] == 0).all():
        return False
    if not _hides_later(hidden, node.inputs[0].type.shape[-2], node.inputs[1].type.shape[-2]):
        return False
    given = {} if op.scale is None else {"scale": op.scale}
    return m.become(node, op.name, node.inputs, [], is_causal=True, enable_gqa=op.enable_gqa, **given)
