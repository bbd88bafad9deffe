"""Hand-tuned twins of plain layers, CUDA graphs, and what the hardware decides.

DISTILLERY_KERNELS=off turns the twins and the graphs off: models then compute with the layers of
PyTorch and transformers alone.
"""

import os

import torch

from distillery.errors import choose


def on() -> bool:
    """Whether the kernels are used. UserError if DISTILLERY_KERNELS is neither on nor off."""
    value = os.environ.get("DISTILLERY_KERNELS") or "on"
    return choose("DISTILLERY_KERNELS", value, ("on", "off")) == "on"


def is_exported() -> bool:
    """Whether a model is being exported, to ONNX for instance, where some layers are one node."""
    return torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None
