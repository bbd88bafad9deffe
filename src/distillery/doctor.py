"""Reports what this machine has and what the stages still need, with the commands that fix it.

Only the standard library is imported at first, so that it also runs where packages are missing.
"""

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

from distillery import paths
from distillery.errors import UserError, reason

RUNTIME = ("numpy", "onnxruntime", "tokenizers")
EXTRAS = {  # package -> extra of pyproject.toml, and what it is for; all others are of `train`
    "datasets": ("hub", "data sets from the hub"),
    "nltk": ("nltk", "augmentation by parts of speech, sentences of unlabeled text"),
    "tensorboard": ("tensorboard", "curves of the training in TensorBoard"),
}
DEMO_DISK = 1.0e9  # bytes; it takes 0.6e9, and half as much while a checkpoint is replaced
_PIN = re.compile(r"^([\w.-]+)==([^\s;#]+)", re.MULTILINE)


def package_of(module: str) -> str:
    """The package that a module belongs to."""
    top = module.partition(".")[0]
    return {"sklearn": "scikit-learn"}.get(top, top)


def install_command(package: str | None = None) -> str:
    """The command that installs a package with the others of its extra; by default everything the
    stages need."""
    pip = [sys.executable, "-m", "pip", "install"]
    if not paths.in_clone():
        extra = "" if package in RUNTIME else f"[{EXTRAS.get(package or '', ('train',))[0]}]"
        return f"{shlex.join([*pip, f'.{extra}'])}, in a clone of distillery"  # not on PyPI yet
    if sys.prefix == sys.base_prefix:
        return "make install"
    return shlex.join([*pip, "-r", f"{paths.ROOT}/requirements.txt"])


@dataclass(frozen=True)
class Finding:
    """A line of the report. state: `ok`; `note`, what works without; `missing`, what does not."""

    state: str
    text: str
    remedy: str | None = None

    def __str__(self) -> str:
        return f"{self.state:8} {self.text}" + (f"  ->  {self.remedy}" if self.remedy else "")


def run() -> int:
    """Prints every finding; 0 if the demo could run, 1 if something it needs is missing."""
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
        text = f"{check.__name__.strip('_')}: could not be checked ({reason(error)})"
        yield Finding("missing", text, install_command())


def _python() -> Iterator[Finding]:
    yield Finding("ok", f"Python {sys.version.split()[0]} ({sys.executable})")
    for name, why in {"make": "for make demo", "git": "results would name no commit"}.items():
        if not shutil.which(name):
            yield Finding("note", f"{name} is not installed: {why}", f"apt-get install {name}")


def _runtime() -> Iterator[Finding]:
    """What answers with exported students, where nothing else was installed."""
    absent = [name for name in RUNTIME if importlib.util.find_spec(name) is None]
    for name in absent:
        yield Finding("missing", f"package {name} is not installed", install_command(name))
    if not absent:
        yield Finding("ok", "the runtime is installed: predict with exported students")
    yield Finding("note", "the stages are not installed", install_command())


def pins() -> dict[str, str]:
    """Package -> the version this project was tested with; empty for an installed package, whose
    metadata has ranges."""
    pinned = paths.ROOT / "requirements.txt"
    if pinned.is_file():
        return dict(_PIN.findall(pinned.read_text(encoding="utf-8")))
    ranges = metadata.requires("bert-distillery") or []
    return dict.fromkeys((re.split(r"[^\w.-]", needed)[0] for needed in ranges), "")


def _packages() -> Iterator[Finding]:
    matching = 0
    for name, pin in pins().items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            text = f"package {f'{name} {pin}'.strip()} is not installed"
            if name in EXTRAS:
                text = f"{text}: for {EXTRAS[name][1]}"
            state = "note" if name in EXTRAS else "missing"
            yield Finding(state, text, install_command(name))
            continue
        if pin in ("", version.split("+")[0]):
            matching += 1
        else:
            text = f"package {name} {version}, tested with {pin}"
            yield Finding("note", text, install_command())
    how = "as pinned in requirements.txt" if paths.in_clone() else "installed"
    yield Finding("ok", f"{matching} of {len(pins())} packages {how}")


def _compute() -> Iterator[Finding]:
    import torch

    from distillery.kernels import hardware

    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        bf16 = "bf16" if gpu.major >= 8 else "fp32 only"
        yield Finding("ok", f"GPU {gpu.name}, {gpu.total_memory / 1e9:.0f} GB, {bf16}")
    if not torch.cuda.is_available() and _has_gpu():
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs only"
        remedy = "nvidia-smi  # names the driver, which a PyTorch for its CUDA has to match"
        yield Finding("note", f"there is a GPU that PyTorch, built for {built}, cannot use", remedy)
    bf16 = "bf16" if hardware.cpu_has_bf16() else "no bf16 instructions"
    yield Finding("ok", f"CPU {hardware.cpu_name()}, {torch.get_num_threads()} threads, {bf16}")


def _has_gpu() -> bool:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(done.stdout.strip())


def _disk() -> Iterator[Finding]:
    for variable, folder, needed in (
        ("DISTILLERY_DATA", paths.data(), DEMO_DISK),
        ("DISTILLERY_RESULTS", paths.results(local=False), 0.0),
    ):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        remedy = f"export {variable}=FOLDER  # another one"
        free = shutil.disk_usage(existing).free
        if not existing.is_dir():
            yield Finding("missing", f"disk: {existing} is no folder", remedy)
        elif not os.access(existing, os.W_OK):
            yield Finding("missing", f"disk: {folder} cannot be written", remedy)
        elif free < needed:
            text = (
                f"disk: {free / 1e9:.1f} GB are free in {folder}, the demo needs {needed / 1e9:g}"
            )
            yield Finding("missing", text, remedy)
        else:
            yield Finding("ok", f"disk: {free / 1e9:.1f} GB are free in {folder}")


def _encoders() -> Iterator[Finding]:
    from distillery import encoders, recipes

    for name in encoders.ENCODERS:
        state = "missing" if name in recipes.plan("demo").teachers else "note"
        folder = paths.encoder(name)
        fetch = f"{paths.program()} fetch --teacher {name}"
        if not encoders.at_hand(name):
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
        text = f"task {name}: no splits yet"
        if name in made:
            try:
                rows = {split: len(store.read_split(name, split)) for split in paths.SPLITS}
            except UserError as error:
                again = f"{make} --force{' --data FILE' if name in own else ''}"
                yield Finding("note", f"task {name}: {error}", again)
            else:
                counts = ", ".join(f"{split} {count:,}" for split, count in rows.items())
                yield Finding("ok", f"task {name}: {counts} rows")
        elif tasks.get(name).generate:
            yield Finding("ok", f"{text}, they are generated")
        else:
            yield Finding("note", text, make)


CHECKS = (_python, _packages, _compute, _disk, _encoders, _data_sets)
