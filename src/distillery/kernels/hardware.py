"""The hardware this process runs on, and what depends on it.

Precision follows from the instructions the hardware has; nothing is measured.
"""

import contextlib
import ctypes
import functools
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from distillery import files, kernels, paths
from distillery.errors import choose

PACKAGES = ("transformers", "scikit-learn", "onnxruntime")  # beside torch, those that make figures
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
# Values of oneDNN's ONEDNN_MAX_CPU_ISA that leave it no instruction to multiply bf16.
_NO_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


@functools.cache
def accelerator() -> Accelerator:
    """This process's part in the whole: its device, rank, and the gathering of results.

    Precision is not set here: every model chooses its own (`autocast`).
    """
    return Accelerator(cpu=not torch.cuda.is_available())


def lock_of_main(name: str, what: str) -> contextlib.AbstractContextManager[None]:
    """A lock held by the main process for all; a second holder is refused by the name `what`."""
    if accelerator().is_main_process:
        return files.locked(paths.lock(name), what)
    return contextlib.nullcontext()


def cpu_name() -> str:
    """The processor's name as the kernel gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def device() -> torch.device:
    """This process's GPU, or the CPU."""
    result: torch.device = accelerator().device
    return result


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # another build of it, under another name
        return None


def environment(precision: str) -> dict[str, Any]:
    """What a result says about where it was made."""
    where = device()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: _version(name) for name in PACKAGES},
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "precision": precision,
    }


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """The GNU C library, where that is what this process runs on."""
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if library.malloc_trim and library.mallopt else None
    except (OSError, AttributeError):
        return None


def prepare() -> None:
    """Makes this process fast on a CPU; to be called before PyTorch starts its threads.

    It keeps freed memory for the next batch: by default glibc returns a large tensor's pages as
    soon as it is freed, and the system clears every page of the next one, which took a third of a
    training step. And it flushes denormals (below 1e-38) to zero: Adam's means of an embedding that
    no text uses become denormal after some 800 steps, which made the optimizer 20 times slower.
    UserError if DISTILLERY_KERNELS is neither on nor off, also where no model has kernels.
    """
    kernels.on()
    torch.set_flush_denormal(True)
    if library := _glibc():
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, -1)


def release_memory() -> None:
    """Returns free memory to the system, after a long piece of work."""
    if library := _glibc():
        library.malloc_trim(0)


def autocast(precision: str) -> torch.autocast:
    """The context in which a model computes at a precision; weights stay fp32."""
    return torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16")


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 matrices: with AMX or AVX512-BF16, unless ONEDNN_MAX_CPU_ISA
    forbids these."""
    highest = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    if highest.upper() in _NO_BF16:
        return False
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def precision(wanted: str) -> str:
    """The precision to compute in, fp32 or bf16: `wanted`, or for auto what DISTILLERY_PRECISION
    says, or else bf16 on a CPU with instructions for it and on any recent GPU. All processes use
    the main one's.

    Raises UserError if DISTILLERY_PRECISION is none of auto, fp32 and bf16.
    """
    preferred = os.environ.get("DISTILLERY_PRECISION")
    if preferred:
        choose("DISTILLERY_PRECISION", preferred, ("auto", "fp32", "bf16"))
    if wanted != "auto":
        return wanted
    if device().type == "cuda":
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        bf16 = cpu_has_bf16()
    chosen = [preferred if preferred in ("fp32", "bf16") else "bf16" if bf16 else "fp32"]
    if accelerator().num_processes > 1:
        broadcast_object_list(chosen)
    return chosen[0]
