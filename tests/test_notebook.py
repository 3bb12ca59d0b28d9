"""What networks, pictures and summaries show in a notebook that is executed."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).parent.parent
CELLS = [
    "import netc\nnetwork = netc.load('specs/lenet5.yaml')",
    "network",
    "network.diagram(level='ops', theme='dark')",
    "network.summary()",
]


def test_a_notebook_shows_pictures_and_tables() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [cell.outputs[0]["data"] for cell in notebook.cells[1:]]
    assert shown[0]["image/svg+xml"].startswith("<svg")
    assert shown[0]["text/plain"].startswith("<netc.Network lenet5")
    assert "#14171C" in shown[1]["image/svg+xml"]
    assert shown[2]["text/html"].startswith("<table><caption>lenet5")
    assert "61,706" in shown[2]["text/html"]
