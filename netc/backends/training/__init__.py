"""The script that trains a network: PyTorch alone, on one process, on many, or sharded."""

from __future__ import annotations

from netc.backends.training.script import script

__all__ = ["script"]
