"""The hardware this process runs on, and what depends on it.

Precision follows from the instructions the hardware has, never from a measured time. A time may
only choose between two ways to compute the same function; it is measured once and kept in
`data/machine.json`.
"""

import ctypes
import functools
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from distillery import files, paths
from distillery.errors import UserError, choose
from distillery.kernels import graphs
from distillery.kernels.processes import accelerator

REPEATS = 4
PACKAGES = ("transformers", "scikit-learn", "onnxruntime")  # beside torch, those that make figures
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
# Values of oneDNN's ONEDNN_MAX_CPU_ISA that leave it no instruction to multiply bf16.
_ISA_WITHOUT_BF16 = (
    "SSE41",
    "AVX",
    "AVX2",
    "AVX2_VNNI",
    "AVX2_VNNI_2",
    "AVX512_CORE",
    "AVX512_CORE_VNNI",
)


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
    found: torch.device = accelerator().device
    return found


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


def _seconds(candidates: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The shortest time of each call. They take turns, after one round to warm up, so that what
    else the machine does strikes all alike."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(REPEATS + 1):
        for name, step in candidates.items():
            start = time.perf_counter()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: min(found[1:]) for name, found in times.items()}


def fastest(what: str, candidates: Mapping[str, Callable[[], object]], margin: float) -> str:
    """The name of the fastest candidate; the first one unless another beats it by the factor
    `margin`. Candidates must be the same function: a time must not decide a result.

    The measurement is kept under the name `what`, so later runs on the same hardware choose alike.
    """
    key = f"{what} | {cpu_name()} | {device()} | {torch.get_num_threads()} | {torch.__version__}"
    with files.locked(paths.lock("machine"), "a measurement", wait=True):
        seconds: Any = _known().get(key)
        if not _are_times(seconds, candidates):
            devices = [device()] if device().type == "cuda" else []
            with torch.random.fork_rng(devices):
                seconds = _seconds(candidates)
            files.write_json(paths.machine(), {**_known(), key: seconds})
    first = next(iter(candidates))
    best = min(seconds, key=lambda name: seconds[name])
    choice = best if seconds[first] > margin * seconds[best] else first
    timed = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items())
    logging.info("%s: %s, the fastest here (%s)", what, choice, timed)
    return choice


def _are_times(seconds: Any, candidates: Mapping[str, object]) -> bool:
    return (
        isinstance(seconds, dict)
        and set(seconds) == set(candidates)
        and all(isinstance(value, int | float) for value in seconds.values())
    )


def _known() -> dict[str, Any]:
    """What was measured before: key -> candidate -> seconds."""
    try:
        path = paths.machine()
        return files.read_json(path, remedy="measuring again") if path.is_file() else {}
    except UserError as error:
        logging.warning("%s", error)
        return {}


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

    It keeps freed memory for the next batch: by default glibc gives a large tensor's pages back as
    soon as it is freed, and the system clears every page of the next one, which took a third of a
    training step. And it takes numbers below 1e-38 for zero: Adam's means of an embedding that no
    text asks for sink below that after some 800 steps, and with such numbers a step of the
    optimizer took 20 times as long.
    """
    torch.set_flush_denormal(True)
    if library := _glibc():
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, -1)


def release_memory() -> None:
    """Gives the memory that is free now back to the system: after a long piece of work."""
    if library := _glibc():
        library.malloc_trim(0)


def autocast(precision: str) -> torch.autocast:
    """The context in which a model computes at a precision; weights stay fp32."""
    return torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16")


def step_of(
    model: torch.nn.Module, batch: Mapping[str, torch.Tensor], precision: str
) -> Callable[[], object]:
    """A forward and backward pass, for timing, as a training runs it. Gradients are cleared."""

    def step(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        with autocast(precision):
            logits: torch.Tensor = model(**batch).logits
        total = logits.float().sum()
        total.backward()
        model.zero_grad(set_to_none=True)
        return total.detach()

    if graphs.can_hold(model):
        return functools.partial(graphs.Graphs(step).run, dict(batch))
    return functools.partial(step, batch)


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 matrices: with AMX or AVX512-BF16, unless ONEDNN_MAX_CPU_ISA
    forbids these."""
    highest = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    if highest.upper() in _ISA_WITHOUT_BF16:
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
