"""Bytes → Source: UTF-8 or a finding that says where it is not."""

from __future__ import annotations

import os
from itertools import islice

from netc.diagnostics.model import Diagnostic, Fix, NetcError, Source, Span
from netc.diagnostics.suggest import closest
from netc.files import open_input
from netc.syntax.library import file_of, is_shipped

MAX_BYTES = 64_000_000
MOST_ENTRIES = 10_000
"""Files of a folder that are looked at for one of a similar name."""


def read_source(path: str, *, protect: bool = True) -> Source | Diagnostic:
    """The text of a file or `netc:NAME`; a Diagnostic (`missing-file`, `bad-yaml`, `too-large`) when there is none.

    protect: no output replaces the file; not where it is read to be rewritten.
    """
    file_name = file_of(path) if is_shipped(path) else path
    if isinstance(file_name, Diagnostic):
        return file_name
    try:
        with open_input(file_name, protect=protect) as file:
            data = file.read(min(MAX_BYTES, os.fstat(file.fileno()).st_size) + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        near = _nearest(path) if isinstance(error, FileNotFoundError) else None
        fixes = (Fix(f"did you mean `{near}`?"),) if near else ()
        return Diagnostic("missing-file", f"cannot read `{path}`: {reason.lower()}", None, path=path, fixes=fixes)
    return decode(path, data)


def load_source(path: str, *, protect: bool = True) -> Source:
    """`read_source` for those that go no further without it: raises NetcError."""
    source = read_source(path, protect=protect)
    if isinstance(source, Diagnostic):
        raise NetcError((source,))
    return source


def _nearest(path: str) -> str | None:
    """The spec beside a file that is not there whose name is most like its own."""
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder or ".") as entries:
            specs = [entry.name for entry in islice(entries, MOST_ENTRIES) if entry.name.endswith((".yaml", ".yml"))]
    except OSError:
        return None
    near = closest(name, sorted(specs))
    return near and os.path.join(folder, near)


def decode(path: str, data: bytes) -> Source | Diagnostic:
    """The text that `data` holds as UTF-8; a byte order mark at its beginning is left out."""
    if len(data) > MAX_BYTES:
        return Diagnostic("too-large", f"`{path}` has more than {MAX_BYTES} bytes", None, path=path)
    try:
        return Source(path, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return _not_utf8(path, data, len(data) - len(error.object) + error.start)


def _not_utf8(path: str, data: bytes, at: int) -> Diagnostic:
    source = Source(path, data.decode("utf-8", "replace"))
    start = len(data[:at].decode("utf-8", "replace"))
    message = f"byte {at} is 0x{data[at]:02X}, which is not UTF-8"
    return Diagnostic("bad-yaml", message, Span(source, start, start + 1), fixes=(Fix("save the file as UTF-8"),))
