"""Every operator over its whole attribute space, held against PyTorch and ONNX Runtime: `make conformance`."""
