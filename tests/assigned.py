"""Prints which provider onnxruntime gives each node of the models in a folder: `python assigned.py FOLDER`, as JSON.

A process of its own, with CUDA's libraries or stand-ins for them on LD_LIBRARY_PATH: nothing is computed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, NotImplemented

PROVIDERS = ["CUDAExecutionProvider", "CPUExecutionProvider"]


def on_cpu(path: Path) -> list[str]:
    """The types of the nodes that the CUDA provider leaves to the CPU."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS)
    except (Fail, NotImplemented):
        return ["error"]
    parts = session.get_provider_graph_assignment_info()
    return sorted({node.op_type for part in parts if part.ep_name == PROVIDERS[1] for node in part.get_nodes()})


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(4)
    print(json.dumps({path.stem: on_cpu(path) for path in sorted(Path(sys.argv[1]).glob("*.onnx"))}))
