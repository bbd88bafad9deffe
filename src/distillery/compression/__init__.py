"""Smaller and faster models: pruned, quantized, exported to ONNX."""
