"""One process or many: the one place that asks accelerate."""

import contextlib
import functools

import torch
from accelerate import Accelerator

from distillery import files, paths


@functools.cache
def accelerator() -> Accelerator:
    """This process's part in the whole: its device, rank, and the gathering of results.

    Precision is not set here: every model chooses its own (`machine.autocast`).
    """
    return Accelerator(cpu=not torch.cuda.is_available())


def lock_of_main(name: str, what: str) -> contextlib.AbstractContextManager[None]:
    """A lock held by the main process for all; a second holder is refused by the name `what`."""
    if accelerator().is_main_process:
        return files.locked(paths.lock(name), what)
    return contextlib.nullcontext()
