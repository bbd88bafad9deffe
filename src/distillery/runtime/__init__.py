"""Answering with a saved model: `tokenizers` and ONNX Runtime, without torch or transformers."""
