"""YAML files of Ultralytics become specs: rows become statements, modules blocks, scales variants.

Both are declarations, so structure need not be found: each row is written in netc's words, compiled at every scale, and
what netc makes of it is compared with what the file says of channels and of weights.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from netc.diagnostics.model import Diagnostic, Source, failure
from netc.diagnostics.suggest import elided
from netc.importing.candidates import Candidate
from netc.importing.graph import Gap, Held, held_array, whole
from netc.importing.readers.ultralytics_modules import HEADS, Rows, SpecLine, activation, line_of
from netc.importing.readers.ultralytics_rows import Described, ModuleRow, Scale, described
from netc.importing.report import ImportReport, Proof
from netc.importing.run import Imported, Wishes
from netc.importing.weights import COUNTERS, Assigned
from netc.ir.flat import flatten
from netc.ir.model import Group, Item, Network, Value
from netc.passes import compile_spec
from netc.passes.summary import summarise
from netc.progress import Note, no_note
from netc.syntax.names import name_from_stem
from netc.weights import TensorSpec, tensors
from netc.weights.checkpoint import read_weights
from netc.weights.values import StoredTensor as Stored
from netc.weights.values import numbers

BLOCKS = Path(__file__).parent / "readers" / "ultralytics.yaml"
MULTIPLES = (32, 64, 128, 16, 8, 1)
USUAL, PROBE = 640, 256
"""Height and width of pictures: as networks are used, and as Ultralytics finds out how far apart a head's cells are."""

COMPARED = "the channels of every layer are those that the file gives it, at every scale"


def import_ultralytics(path: Path, wishes: Wishes, note: Note = no_note) -> Imported:
    """Raises NetcError: `cannot-import`, `import-differs`, `bad-yaml`, `weights-file`."""
    try:
        note("reading")
        found = described(path)
        text, network, warnings = _spec(found, wishes)
        note("comparing scales")
        totals = _compared(found, text, network)
        assigned = _assigned(path, found, network)
    except Gap as gap:
        raise gap.error(str(path)) from gap
    shown = Proof(totals[0], str(summarise(network).macs), 0, len(flatten(network).nodes), (), None, "", COMPARED)
    report = ImportReport(
        source=str(path),
        name=name_from_stem(found.name),
        operators=shown.statements,
        lines=text.count("\n"),
        blocks=tuple(network.file.blocks),
        way="from its rows",
        tensors={key: one.weight.held.name for key, one in assigned.items()},
        kept=sum(key == one.weight.held.name for key, one in assigned.items()),
        unused={},
        shown=shown,
        notes=tuple(_notes(found, totals, warnings)),
    )
    return Imported(Candidate(report.way, text, network, {}, warnings), assigned, report)


def _notes(found: Described, totals: Sequence[int], warnings: Sequence[Diagnostic]) -> Iterator[str]:
    if len(found.scales) > 1:
        counted = ", ".join(f"{s.name} {total:,}" for s, total in zip(found.scales, totals, strict=True))
        yield f"parameters at each scale: {counted}"
    if found.once or any(row.module == "v10Detect" for row in found.rows):
        yield "the head returns what it finds in every cell; Ultralytics then keeps the 300 that score best"
    yield from (f"warning: {warning.message}" for warning in warnings)


def _spec(found: Described, wishes: Wishes) -> tuple[str, Network, tuple[Diagnostic, ...]]:
    """The text with height and width open where that is possible, its first scale, and its warnings. Raises Gap."""
    strides = _strides(found)
    given = wishes.shapes.get("image") or wishes.shapes.get("")
    fixed = given or (1, found.channels, USUAL, USUAL)
    if len(fixed) != 4 or fixed[1] != found.channels:
        raise Gap(f"the picture has {found.channels} channels, as in 1x{found.channels}x640x640")
    sizes = [f"{fixed[2]}, {fixed[3]}"]
    if wishes.sizes == "symbolic":
        sizes = [*(f"{k}*h, {k}*w" if k > 1 else "h, w" for k in MULTIPLES), *sizes]
    failed = ""
    for size in sizes:
        text = _Text(found, size, strides).text()
        network, diagnostics = compile_spec(Source("<imported>", text))
        if network is not None:
            return text, network, tuple(network.warnings)
        failed = failed or next(d.message for d in diagnostics if d.severity == "error")
    raise Gap(failed)


def _strides(found: Described) -> tuple[int, ...]:
    """How far apart the cells of a head's maps are, found out with a picture of a known size. Raises Gap."""
    heads = [row for row in found.rows if row.module in HEADS]
    if not heads:
        return ()
    body = msgspec.structs.replace(found, rows=found.rows[: heads[0].at], scales=found.scales[:1])
    text = _Text(body, f"{PROBE}, {PROBE}", (), ends=heads[0].sources).text()
    network, diagnostics = compile_spec(Source("<imported>", text))
    if network is None:
        raise Gap(next(d.message for d in diagnostics if d.severity == "error"))
    sides = [output.value.type.shape[2] for output in network.block.outputs]
    return tuple(PROBE // side for side in sides if isinstance(side, int) and side)


class _Text:
    """The spec of a file. ends: the rows that are outputs, by default those that no other reads."""

    def __init__(self, found: Described, size: str, strides: Sequence[int], ends: Sequence[int] = ()) -> None:
        self.found, self.size, self.strides = found, size, strides
        self.rows = Rows(found)
        self.lines = [self._line(row) for row in found.rows]
        self.readers = Counter(source for row in found.rows for source in row.sources)
        self.ends = list(ends) or [row.at for row in found.rows if not self.readers[row.at]]

    def _line(self, row: ModuleRow) -> SpecLine:
        line = line_of(self.rows, row)
        self.rows.known[row.at] = line.channels
        return line

    def text(self) -> str:
        body = [self._statement(row, line) for row, line in zip(self.found.rows, self.lines, strict=True)]
        blocks = _blocks("\n".join(body), self.found.activation)
        head = [
            "netc: 1",
            f"name: {name_from_stem(self.found.name)}",
            *self._arguments(),
            f"inputs: {{image: [N, {self.found.channels}, {self.size}]}}",
            "defaults: {batch_norm2d: {eps: 0.001, momentum: 0.03}}",
            *self._fixed(blocks),
        ]
        outputs = self._outputs()
        return "\n".join([*head, "blocks:", *blocks, "net:", *body, f"outputs: {{{outputs}}}"]) + "\n"

    def _arguments(self) -> Iterator[str]:
        """The arguments of the network, and its variants."""
        scales = self.found.scales
        columns: dict[str, list[Any]] = {}
        read = " ".join(self.rows.lets.values())
        for name, field in (("depth_multiple", "depth"), ("width_multiple", "width"), ("max_channels", "most")):
            if name in read:
                columns[name] = [_number(getattr(scale, field)) for scale in scales]
        for name, places in self.rows.flags.items():
            columns[name] = [str(scale.name in places).lower() for scale in scales]
        classes = {"classes": str(self.found.classes)} if any("classes" in line.text for line in self.lines) else {}
        first = classes | {name: values[0] for name, values in columns.items()}
        if first:
            yield f"args: {{{', '.join(f'{k}: {v}' for k, v in first.items())}}}"
        if self.rows.lets:
            yield "let:"
            yield from (f"  {name}: {text}" for name, text in sorted(self.rows.lets.items(), key=_by_number))
        if len(scales) > 1:
            yield "variants:"
            for at, scale in enumerate(scales):
                values = {name: column[at] for name, column in columns.items() if column[at] != column[0]}
                yield f"  {_variant(self.found, scale)}: {{{', '.join(f'{k}: {v}' for k, v in values.items())}}}"

    def _fixed(self, blocks: Sequence[str]) -> Iterator[str]:
        """Numbers that a head has from the start and that do not train; the scale of a residual."""
        if any(line == "  dfl:" for line in blocks) and self.found.bins > 1:
            yield f'init: {{"*.dfl.conv.weight": "values (range({self.found.bins}))"}}'
            yield f"freeze: [{', '.join(f'model.{row.at}.dfl' for row in self.found.rows if row.module in HEADS)}]"
        elif any("residual" in line.text for line in self.lines):
            yield 'init: {"*.gamma": constant 0.01}'

    def _statement(self, row: ModuleRow, line: SpecLine) -> str:
        name, text = self.rows.name(row.at), line.text.replace("STRIDES", f"({' '.join(map(str, self.strides))})")
        reads = line.reads or tuple(self.rows.name(at) for at in row.sources)
        if row.sources == (row.at - 1,) and self.readers[row.at - 1] == 1:
            reads = ()
        from_ = "".join(f" @{source}" for source in reads)
        if line.repeated or row.repeats == 1:
            return f"  {name}: {text}{from_}"
        depth, counts = self.rows.depth(row.repeats)
        if min(counts) > 1:
            return f"  {name}: {text} x{depth if depth.isdigit() else f'({depth})'}{from_}"
        if max(counts) == 1:
            return f"  {name}: {text}{from_}"
        from_ = from_ or f" @{self.rows.name(row.at - 1)}"
        return f"  {name}: {{if: {depth} > 1, do: {text} x({depth}){from_}, else: {text}{from_}}}"

    def _outputs(self) -> str:
        if len(self.ends) == 1:
            at = self.ends[0]
            line = self.lines[at].text
            word = "probabilities" if line.startswith("classify") else "found" if at == len(self.lines) - 1 else "map"
            outputs = {word: f"model.{at}"}
            if line.startswith("segment"):
                outputs["masks"] = f"model.{at}.masks"
            told = [f"{name}: {source}" for name, source in outputs.items()]
            if line.startswith("detect_once"):
                told += [f"{k}: {{from: model.{at}.{k}, when: train}}" for k in ("many_sides", "many_kinds")]
            return ", ".join(told)
        return ", ".join(f"map{at}: {self.rows.name(at)}" for at in self.ends)


def _by_number(item: tuple[str, str]) -> tuple[str, int]:
    return item[0][0], int(item[0][1:])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _variant(found: Described, scale: Scale) -> str:
    """`yolov8s_seg`: what everybody calls the network."""
    match = re.fullmatch(r"(yolo(?:e-)?v?\d+)(.*)", found.name)
    return name_from_stem(f"{match[1]}{scale.name}{match[2]}" if match else f"{found.name}_{scale.name}")


_BLOCK = re.compile(r"^  (\w+):\n((?:    .*\n)+)", re.MULTILINE)


def _blocks(body: str, act: str) -> list[str]:
    """The lines of all blocks that a text calls, each behind those it calls itself. Raises Gap."""
    known = dict(_BLOCK.findall(BLOCKS.read_text("utf-8")))
    operator = activation(act) if act else "silu"
    if operator is None:
        raise Gap(f"netc has no activation {act[:60]}")
    used: dict[str, None] = {}

    def use(text: str) -> None:
        for word in re.findall(r"(?<![\w.@$])[a-z]\w*(?![\w.:])", text):
            if word in known and word not in used:
                use(known[word])
                used[word] = None

    use(body)
    lines: list[str] = []
    for name in used:
        first, _, rest = known[name].partition("\n")
        lines += [f"  {name}:", *f"{first.replace('act=silu', f'act={operator}')}\n{rest}".rstrip("\n").split("\n")]
    return lines


def _compared(found: Described, text: str, first: Network) -> list[int]:
    """Parameters at every scale, where each row has the channels that the file gives it. Raises NetcError, Gap."""
    rows = Rows(found)
    totals = []
    for row in found.rows:
        rows.known[row.at] = line_of(rows, row).channels
    for at, scale in enumerate(found.scales):
        network = first
        if at:
            compiled, diagnostics = compile_spec(Source("<imported>", text), variant=_variant(found, scale))
            if compiled is None:
                message = next(d.message for d in diagnostics if d.severity == "error")
                raise Gap(f"at scale {scale.name}: {message}")
            network = compiled
        _same_rows(found, rows, at, network)
        totals.append(sum(prod(spec.shape) for spec in _learned(network)))
    return totals


def _same_rows(found: Described, rows: Rows, at: int, network: Network) -> None:
    made = {item.path: _given(item) for item in network.block.items}
    for row in found.rows:
        value, wanted = made.get(rows.name(row.at)), rows.known[row.at][at]
        if wanted and (value is None or value.type.shape[1] != wanted):
            where = f" at scale {found.scales[at].name}" if found.scales[at].name else ""
            has = "nothing" if value is None else f"{value.type.shape[1]} channels"
            message = f"layer {row.at} [{row.module}] gives {wanted} channels{where}, the spec {has} there"
            raise failure("import-differs", message)


def _given(item: Item) -> Value | None:
    """What a statement gives."""
    return item.result if isinstance(item, Group) else item.outputs[0] if item.outputs else None


def _learned(network: Network) -> list[TensorSpec]:
    """What PyTorch counts as parameters."""
    statistics = ("running_mean", "running_var", *COUNTERS)
    return [spec for spec in tensors(network) if spec.name.rpartition(".")[2] not in statistics]


def _assigned(path: Path, found: Described, network: Network) -> dict[str, Assigned]:
    """The tensors of a safetensors file beside, whose names are those of Ultralytics's state_dict. Raises Gap where one
    does not fit; nothing where there is no file."""
    stems = dict.fromkeys((path.stem, _variant(found, found.scales[0]).replace("_", "-")))
    files = [file for stem in stems if (file := path.with_name(f"{stem}.safetensors")).is_file()]
    if not files:
        return {}
    held = {stored.name: stored for stored in read_weights(files[0]).tensors}
    assigned = {}
    for spec in tensors(network):
        stored = held.pop(spec.name, None) or held.pop(spec.name.removeprefix("model."), None)
        if stored is None and spec.name.rpartition(".")[2] in COUNTERS:
            assigned[spec.name] = Assigned(spec, whole(held_array("", np.zeros(spec.shape, spec.dtype))))
            continue
        if stored is None:
            raise Gap(f"{files[0].name} has no {spec.name}")
        if stored.shape != spec.shape:
            has, wanted = ("×".join(map(str, shape)) or "one number" for shape in (stored.shape, spec.shape))
            raise Gap(f"{spec.name} of {files[0].name} is {has}, and this network has {wanted} there")
        assigned[spec.name] = Assigned(spec, whole(_held(stored, spec.dtype)))
    if held:
        raise Gap(f"{files[0].name} has tensors that this network does not: {elided(list(held))}")
    return assigned


def _held(stored: Stored, dtype: str) -> Held:
    """A tensor of a file as the network's type; half precision, in which checkpoints are kept, is exact in float32."""

    def read() -> Any:
        chunks = [numbers(bytes(chunk), stored.dtype) for chunk in stored.chunks()]
        found = [chunk.astype(dtype) for chunk in chunks if chunk is not None]
        return np.concatenate(found).reshape(stored.shape) if found else np.zeros(stored.shape, dtype)

    return Held(stored.name, dtype, stored.shape, read)
