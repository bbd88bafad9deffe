"""One process or many: the one place that asks accelerate."""

import functools

import torch
from accelerate import Accelerator


@functools.cache
def accelerator() -> Accelerator:
    """This process's part in the whole: its device, rank, and the gathering of results.

    Precision is not set here: every model chooses its own (`machine.autocast`).
    """
    return Accelerator(cpu=not torch.cuda.is_available())
