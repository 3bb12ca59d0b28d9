"""Reads spec files, within bounds."""

from __future__ import annotations

from netc.diagnostics.model import Diagnostic, Source

MAX_BYTES = 64 * 2**20


def read_source(path: str) -> Source | Diagnostic:
    """The text of a file, or a `missing-file` or `bad-encoding` finding."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Diagnostic("missing-file", f"cannot read {path}: {error.strerror}", None, path=path)
    except ValueError as error:
        return Diagnostic("missing-file", f"cannot read {path!r}: {error}", None, path=path)
    if len(data) > MAX_BYTES:
        return Diagnostic("too-large", f"{path} is larger than {MAX_BYTES >> 20} MiB", None, path=path)
    try:
        return Source(path, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Diagnostic("bad-encoding", f"{path} is not UTF-8: byte {error.start}", None, path=path)
