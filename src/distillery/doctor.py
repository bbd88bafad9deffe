"""What is there and what is missing: this machine, beside what the stages need.

Only the standard library is imported at first, so that it also speaks where packages are missing.
"""

from __future__ import annotations  # older Pythons read it too, to say that they are old

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from distillery import PYTHON, packages, paths
from distillery.errors import UserError, reason

DEMO_MEMORY = 2.5e9  # bytes; fine-tuning the demo's teacher on two cores took 1.9e9 at most
DEMO_DISK = 1.0e9  # bytes; it takes 0.6e9, and half as much while a checkpoint is replaced
_PIN = re.compile(r"^([\w.-]+)==([^\s;#]+)", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """A line of the report. state: `ok`; `note`, what works without; `missing`, what does not."""

    state: str
    text: str
    remedy: str | None = None

    def __str__(self) -> str:
        return f"{self.state:8} {self.text}" + (f"  ->  {self.remedy}" if self.remedy else "")


def run() -> int:
    """Prints every finding; gives 0 where the demo could run, 1 where something it needs lacks."""
    missing = False
    runtime_alone = not paths.in_clone() and importlib.util.find_spec("torch") is None
    for check in (_python, _runtime) if runtime_alone else CHECKS:
        for finding in _guarded(check):
            print(finding, flush=True)
            missing |= finding.state == "missing"
    return int(missing)


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check, or why it could not look: a package that is missing or broken."""
    try:
        yield from check()
    except Exception as error:  # whatever a broken package raises
        name = check.__name__.strip("_")
        yield Finding(
            "missing", f"{name}: could not be checked ({reason(error)})", packages.install()
        )


def _python() -> Iterator[Finding]:
    version, needed = sys.version.split()[0], ".".join(map(str, PYTHON))
    if sys.version_info >= PYTHON:
        yield Finding("ok", f"Python {version} ({sys.executable})")
    else:
        yield Finding("missing", f"Python {version}: {needed} or newer is needed", "make install")
    for name, why in {"make": "for make demo", "git": "results would name no commit"}.items():
        if not shutil.which(name):
            yield Finding("note", f"{name} is not installed: {why}", f"apt-get install {name}")


def _runtime() -> Iterator[Finding]:
    """What answers with exported students, where nothing else was installed."""
    absent = [name for name in packages.RUNTIME if importlib.util.find_spec(name) is None]
    for name in absent:
        yield Finding("missing", f"package {name} is not installed", packages.install(name))
    if not absent:
        yield Finding("ok", "the runtime is installed: predict with exported students")
    yield Finding("note", "the stages are not installed", packages.install())


def pins() -> dict[str, str]:
    """Package -> version that this project was tested with, empty where that is not known: of an
    installed package, whose metadata has ranges."""
    pinned = paths.ROOT / "requirements.txt"
    if pinned.is_file():
        return dict(_PIN.findall(pinned.read_text(encoding="utf-8")))
    ranges = metadata.requires("bert-distillery") or []
    return dict.fromkeys((re.split(r"[^\w.-]", needed)[0] for needed in ranges), "")


def _packages() -> Iterator[Finding]:
    right = 0
    for name, pin in pins().items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            _, use = packages.EXTRAS.get(name, ("train", None))
            text = f"package {f'{name} {pin}'.strip()} is not installed"
            state = "note" if use else "missing"
            text += f": for {use}" if use else ""
            yield Finding(state, text, packages.install(name))
            continue
        if pin in ("", found.split("+")[0]):
            right += 1
        else:
            yield Finding("note", f"package {name} {found}, tested with {pin}", packages.install())
    how = "as pinned in requirements.txt" if paths.in_clone() else "installed"
    yield Finding("ok", f"{right} of {len(pins())} packages {how}")


def _compute() -> Iterator[Finding]:
    import torch

    from distillery.kernels import hardware

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            bf16 = "bf16" if about.major >= 8 else "fp32 only"
            text = f"GPU {about.name}, {about.total_memory / 1e9:.0f} GB, {bf16}"
            yield Finding("ok", text)
    elif _says("nvidia-smi", "-L"):
        if torch.version.cuda:
            text = f"the GPU's driver does not serve PyTorch for CUDA {torch.version.cuda}"
            yield Finding("note", text, "nvidia-smi  # names the driver to renew")
        else:
            pin = pins()["torch"]
            command = f"pip install --force-reinstall torch{pin and f'=={pin}'}"
            text = "a GPU is here, and a PyTorch for CPUs only"
            yield Finding("note", text, f"{sys.executable} -m {command}  # from an index with CUDA")
    bf16 = "bf16" if hardware.cpu_has_bf16() else "no bf16 instructions"
    yield Finding("ok", f"CPU {hardware.cpu_name()}, {torch.get_num_threads()} threads, {bf16}")


def _says(*command: str) -> str:
    """What a command prints; empty where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _memory() -> Iterator[Finding]:
    info = Path("/proc/meminfo").read_text()
    free = 1024 * int(re.findall(r"MemAvailable:\s+(\d+)", info)[0])
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        free = min(free, int(text))
    text = f"memory: {free / 1e9:.1f} GB are free"
    if free < DEMO_MEMORY:
        remedy = "ps aux --sort=-rss | head  # names what takes it"
        yield Finding("missing", f"{text}, the demo needs {DEMO_MEMORY / 1e9:g}", remedy)
    else:
        yield Finding("ok", text)


def _disk() -> Iterator[Finding]:
    for variable, folder in {
        "DISTILLERY_DATA": paths.data(),
        "DISTILLERY_RESULTS": paths.results(local=False),
    }.items():
        place = next(path for path in (folder, *folder.parents) if path.exists())
        remedy = f"export {variable}=FOLDER  # another one"
        free = shutil.disk_usage(place).free
        text = f"disk: {free / 1e9:.1f} GB are free in {folder}"
        if not place.is_dir():
            yield Finding("missing", f"disk: {place} is no folder", remedy)
        elif not os.access(place, os.W_OK):
            yield Finding("missing", f"disk: {folder} cannot be written", remedy)
        elif variable == "DISTILLERY_DATA" and free < DEMO_DISK:
            yield Finding("missing", f"{text}, the demo needs {DEMO_DISK / 1e9:g}", remedy)
        else:
            yield Finding("ok", text)


def _encoders() -> Iterator[Finding]:
    from distillery import encoders, recipes

    for name in encoders.ENCODERS:
        state = "missing" if name in recipes.plan("demo").teachers else "note"
        folder = paths.encoder(name)
        fetch = f"{paths.program()} fetch --teacher {name}"
        if not (folder / encoders.WEIGHTS).is_file():
            yield Finding(state, f"encoder {name} is not in {folder}", fetch)
            continue
        try:
            encoders.check(name, folder)
        except UserError as error:
            yield Finding(state, str(error), f"rm -r {shlex.quote(str(folder))} && {fetch}")
        else:
            yield Finding("ok", f"encoder {name} in {folder}")


def _data_sets() -> Iterator[Finding]:
    from distillery import tasks
    from distillery.data import store

    made = {path.parent.name for path in paths.data().glob("*/manifest.json")}
    own = made - {*tasks.names(), *paths.RESERVED}
    for name in sorted({*tasks.names(), *own}):
        make = paths.script_or(f"scripts/run_all.sh {name} --to 1", f"data --task {name}")
        if not paths.manifest(name).is_file():
            task = tasks.get(name)
            text = f"task {name}: no splits yet"
            yield (
                Finding("ok", f"{text}, they are generated")
                if task.generate
                else Finding("note", text, make)
            )
            continue
        try:
            rows = {split: len(store.read_split(name, split)) for split in paths.SPLITS}
        except UserError as error:
            again = f"{make} --force{' --data FILE' if name in own else ''}"
            yield Finding("note", f"task {name}: {error}", again)
        else:
            counts = ", ".join(f"{split} {count:,}" for split, count in rows.items())
            yield Finding("ok", f"task {name}: {counts} rows")


def _docker() -> Iterator[Finding]:
    if not shutil.which("docker"):
        yield Finding("note", "docker is not installed", "apt-get install docker.io")
        return
    said = _says("docker", "info", "--format", "{{.ServerVersion}} {{json .Runtimes}}")
    socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").partition("unix://")[2]
    if socket and Path(socket).exists() and not os.access(socket, os.W_OK):
        text = "docker's daemon does not answer you"
        yield Finding("note", text, "sudo usermod -aG docker $USER  # and log in again")
    elif not said:
        yield Finding("note", "docker's daemon does not answer", "systemctl start docker")
    elif _says("nvidia-smi", "-L") and "nvidia" not in said:
        remedy = "apt-get install nvidia-container-toolkit"
        yield Finding("note", "docker cannot give containers the GPU", remedy)
    else:
        yield Finding("ok", f"docker {said.split()[0]}")


CHECKS = (_python, _packages, _compute, _memory, _disk, _encoders, _data_sets, _docker)
