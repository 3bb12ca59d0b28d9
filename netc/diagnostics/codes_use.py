"""What can go wrong when a network is run, exported or given weights."""

from __future__ import annotations

from netc.diagnostics.code_info import CodeInfo

USE_CODES = (
    CodeInfo(
        "unbound-size",
        "error",
        "A size must be a number here",
        "Running, timing and some diagrams need every size.",
        "",
        "bind the symbol: `--bind h=7`.",
    ),
    CodeInfo(
        "weights-file",
        "error",
        "A weights file does not fit the network",
        "A tensor is missing, is one too many or has another shape, or the file cannot be read.",
        "",
        "use the weights of this network, or make new ones with `netc weights init`.",
    ),
    CodeInfo(
        "onnx-unsupported",
        "error",
        "ONNX cannot express this",
        "The operator or setting has no counterpart in the operator set used.",
        "",
        "use another setting or export the PyTorch module.",
    ),
    CodeInfo(
        "missing-library",
        "error",
        "An optional library is not installed",
        "Only some commands need torch, onnxruntime or Graphviz.",
        "",
        "install it as the message says.",
    ),
    CodeInfo(
        "unknown-symbol",
        "error",
        "A size was bound that the network does not have",
        "`--bind h=7` names a symbol of the inputs' shapes.",
        "",
        "bind one of the symbols the message lists.",
    ),
    CodeInfo(
        "bad-input",
        "error",
        "An input cannot be made or used",
        "Its dtype or shape is not what the model takes, or its file cannot be read.",
        "",
        "give an array of the shape and dtype the model declares.",
    ),
    CodeInfo(
        "model-file",
        "error",
        "An ONNX file cannot be loaded",
        "It does not exist, is no ONNX model, or refers to weights that are not beside it.",
        "",
        "write it again with `netc onnx`.",
    ),
    CodeInfo(
        "cuda-absent",
        "error",
        "CUDA was asked for and cannot be used",
        "No device, no driver, or an onnxruntime without CUDA. netc never falls back in silence.",
        "",
        "install what the message names, or take `--provider cpu`.",
    ),
    CodeInfo(
        "cuda-fallback",
        "error",
        "A part of the model would run on the CPU",
        "CUDA has no kernels for the nodes named.",
        "",
        "take `--provider cpu`, or change these operators.",
    ),
    CodeInfo(
        "unknown-code",
        "error",
        "There is no diagnostic of this name",
        "`netc explain` knows the codes that netc reports.",
        "",
        "see `netc explain` for all of them.",
    ),
    CodeInfo(
        "output-file",
        "error",
        "A file or folder cannot be written",
        "It may not be written, is a folder, or the disk is full. What stood there before is untouched.",
        "",
        "choose another place with `-o`.",
    ),
)
