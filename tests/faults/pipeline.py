"""The stages of `smoke` as a user starts them, and what two runs of them must agree in."""

import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests import warm
from tests.conftest import WarmPython

Process = subprocess.Popen[str] | warm.Process
ROOT = Path(__file__).resolve().parents[2]
LIMIT = 1200  # seconds that a stage may take on a busy machine

# Values that differ between two runs alike: the time taken, checksums over it, and the state of
# the repository, which is not the run's.
DIFFER = {"seconds", "checksum", "pretraining.json", "commit"}
# Files that differ: the table shows seconds, events are named by date and host.
DIFFERENT = {"README.md"}
DIFFERENT_FOLDERS = {"locks", "events"}


@dataclass(frozen=True)
class Stage:
    """A command of the project and its name in logs."""

    name: str
    command: tuple[str, ...]


def _stage(script: str, *options: str) -> Stage:
    return Stage(Path(script).stem, (f"scripts/{script}", *options))


OFTEN = ("--checkpoint-seconds", "0")  # a checkpoint after every step
STAGES = (
    _stage("data/smoke.sh"),
    Stage("augment", ("scripts/data/augment.sh", "smoke")),
    Stage(
        "pretrain",
        ("scripts/distillery", "pretrain", "--task", "smoke", "--teacher", "tiny", *OFTEN),
    ),
    _stage("teacher/tiny_smoke.sh", *OFTEN),
    _stage("student/majority_smoke.sh"),
    _stage("student/tfidf_smoke.sh"),
    _stage("student/bilstm_smoke.sh", *OFTEN),
    _stage("student/attention_smoke.sh", *OFTEN),
    _stage("student/bag_smoke.sh", *OFTEN),
    _stage("distillation/bilstm_tiny_smoke.sh", *OFTEN),
    _stage("distillation/attention_tiny_smoke.sh", *OFTEN),
    _stage("distillation/bag_tiny_smoke.sh", *OFTEN),
    Stage("report", ("scripts/distillery", "report", "--task", "smoke")),
)


def start(command: tuple[str, ...], home: Path) -> subprocess.Popen[str]:
    """Starts a command on the folders `data` and `results` of `home`, in a group of its own.

    It hears SIGINT, also where the suite was started in a shell's background, which ignores it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "log").open("a") as log:
        return subprocess.Popen(
            [str(ROOT / command[0]), *command[1:]],
            env={
                **os.environ,
                "DISTILLERY_DATA": str(home / "data"),
                "DISTILLERY_RESULTS": str(home / "results"),
                "HF_HUB_OFFLINE": "1",
            },
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )


def start_and_pause(
    python: WarmPython, home: Path, after: tuple[str, int], *command: str
) -> warm.Process:
    """Starts a command and waits until it waits itself, after so many calls of a function (its
    name as in `pausing.py`); it prints to the file `log` of `home`."""
    place, (function, calls) = home / "paused", after
    place.unlink(missing_ok=True)
    script = str(Path(__file__).with_name("pausing.py"))
    process = python.start(script, str(place), function, str(calls), *command, log=home / "log")
    while not place.exists():
        assert process.poll() is None, (home / "log").read_text()
        time.sleep(0.005)
    place.unlink()
    return process


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used; a busy machine does not stretch it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(process: Process, stop: Callable[[], bool]) -> bool:
    """Waits until `stop` is true or the process has ended; gives whether it still runs."""
    end = time.monotonic() + LIMIT
    while process.poll() is None:
        if stop():
            return True
        assert time.monotonic() < end, f"{process.args} takes over {LIMIT} seconds"
        time.sleep(0.005)
    return False


def kill(process: Process, how: signal.Signals) -> None:
    """Sends a signal to the whole group, which must end by it: at once, or with a last line."""
    os.killpg(process.pid, how)
    status = process.wait(timeout=LIMIT)
    assert status in (-how, 128 + how), f"{how.name} ended it with {status}"


def finish(stage: Stage, home: Path) -> None:
    """Runs a stage to its end, which must be a good one."""
    process = start(stage.command, home)
    watch(process, lambda: False)
    last = (home / "log").read_text().replace("\r", "\n").splitlines()[-20:]
    assert process.returncode == 0, "\n".join([stage.name, *last])


def files_of(home: Path) -> dict[str, Path]:
    """Name -> file, of all that two runs of the stages leave."""
    return {
        path.relative_to(home).as_posix(): path
        for folder in ("data", "results")
        for path in sorted((home / folder).rglob("*"))
        if path.is_file()
        and path.name not in DIFFERENT
        and not DIFFERENT_FOLDERS & set(path.relative_to(home).parts)
    }


def _same_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _same_values(item) for key, item in value.items() if key not in DIFFER}
    if isinstance(value, list):
        return [_same_values(item) for item in value]
    return value


def content(path: Path) -> str:
    """What a file holds: its checksum; of JSON, the values that must not differ."""
    if path.suffix == ".json":
        return json.dumps(_same_values(json.loads(path.read_text())), sort_keys=True)
    return sha256(path.read_bytes()).hexdigest()


def differences(one: Path, other: Path) -> list[str]:
    """Names of the files in which two homes differ, or that only one of them has."""
    first, second = files_of(one), files_of(other)
    odd = first.keys() ^ second.keys()
    both = first.keys() & second.keys()
    return sorted(odd | {name for name in both if content(first[name]) != content(second[name])})
