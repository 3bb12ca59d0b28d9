"""A network as text: stable, complete, readable; what golden files hold and `repr` would say."""

from __future__ import annotations

from collections.abc import Iterator

from netc.ir.model import Block, BlockOutput, Call, Group, Item, Network, Node, Value
from netc.literals import literal

INDENT = "  "


def ir_text(network: Network) -> str:
    """Every block of a network, the network's own first, callees in the order of their first call.

    A statement reads `path = operator attribute=value … (inputs) : types`; attributes at their default are left out.
    """
    numbered = _number(network.block)
    lines = [f"network {network.name}"]
    for block, name in numbered.items():
        lines += ["", *_block(block, name, numbered)]
    return "\n".join(lines) + "\n"


def _number(root: Block) -> dict[Block, str]:
    """A unique name per block: the definition's, with `#2`, `#3`, … for its further instances."""
    names: dict[Block, str] = {}
    counts: dict[str, int] = {}
    queue = [root]
    for block in queue:
        if block in names:
            continue
        counts[block.name] = count = counts.get(block.name, 0) + 1
        names[block] = block.name if count == 1 else f"{block.name}#{count}"
        queue += [leaf.block for leaf in block.leaves() if isinstance(leaf, Call)]
    return names


def _block(block: Block, name: str, numbered: dict[Block, str]) -> Iterator[str]:
    yield " ".join(("block", name, *(f"{k}={literal(v)}" for k, v in block.arguments.items())))
    for source in block.inputs:
        yield f"{INDENT}input {source.path} : {_type(source)}"
    for item in block.items:
        yield from _item(item, INDENT, numbered)
    for output in block.outputs:
        yield INDENT + _output(output)


def _output(output: BlockOutput) -> str:
    marks = (" train" if output.train_only else "") + (" exposed" if output.exposed else "")
    return f"output {output.name} = {output.value.path} : {_type(output.value)}{marks}"


def _item(item: Item, indent: str, numbered: dict[Block, str]) -> Iterator[str]:
    if isinstance(item, Group):
        yield indent + _group(item)
        for inner in item.items:
            yield from _item(inner, indent + INDENT, numbered)
    else:
        yield indent + _leaf(item, numbered)


def _group(group: Group) -> str:
    words: list[str] = [group.kind]
    if group.path:
        words.append(group.path)
    if group.kind == "if":
        words.append("taken" if group.taken else "else")
    if group.spliced:
        words.append("spliced")
    words += (f"{name}={literal(value)}" for name, value in group.bindings.items())
    if group.result is not None:
        words.append(f"-> {group.result.path}")
    return " ".join(words)


def _leaf(leaf: Node | Call, numbered: dict[Block, str]) -> str:
    words = [leaf.path, "=", _what(leaf, numbered)]
    if leaf.module != leaf.path or leaf.outer:
        words.append(f"[{'/' if leaf.outer else ''}{leaf.module}]")
    words.append("(" + ", ".join(value.path for value in leaf.inputs) + ")")
    return " ".join(words) + " : " + ", ".join(_type(value) for value in leaf.outputs)


def _what(leaf: Node | Call, numbered: dict[Block, str]) -> str:
    if isinstance(leaf, Call):
        return f"{numbered[leaf.block]}{' imported' if leaf.imported else ''}{' shared' if leaf.shared else ''}"
    declared = leaf.op.attributes
    settings = (f"{k}={literal(v)}" for k, v in vars(leaf.op).items() if v != declared[k].default)
    return " ".join((leaf.op.name, *settings))


def _type(value: Value) -> str:
    dtype = "" if value.type.dtype == "float32" else f" {value.type.dtype}"
    return f"{value.type}{dtype}"
