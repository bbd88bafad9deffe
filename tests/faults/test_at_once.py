"""Two runs of the same stage at once: the second is refused by the name of the first."""

import fcntl
import os
import shutil
import signal
import subprocess
import threading
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from distillery import files, paths, results, tasks
from distillery.data import sources
from distillery.data.task import Task
from distillery.stages import fetch
from tests.conftest import WarmPython
from tests.faults import pipeline

Refused = Callable[..., str]
NAMES = ("--task", "smoke", "--teacher", "tiny")


@pytest.mark.parametrize(
    ("lock", "command", "said"),
    [
        ("data_smoke", ["data", "--task", "smoke", "--force"], "stage 1 of smoke"),
        ("tiny_smoke", ["pretrain", *NAMES, "--force"], "pretraining tiny on smoke"),
        ("tiny_smoke", ["teacher", *NAMES, "--force"], "experiment tiny_smoke"),
        ("outputs_*", ["record", *NAMES], "recording tiny on smoke"),
        (
            "majority_smoke",
            ["baseline", "--task", "smoke", "--baseline", "majority", "--force"],
            "experiment majority_smoke",
        ),
        (
            "distil_bilstm_tiny_smoke",
            ["distil", *NAMES, "--student", "bilstm", "--force"],
            "experiment distil_bilstm_tiny_smoke",
        ),
    ],
)
def test_every_stage_has_a_lock_and_names_it(
    smoke_copy: Path, refused: Refused, lock: str, command: list[str], said: str
) -> None:
    (path,) = (paths.data() / "locks").glob(f"{lock}.lock")
    with files.locked(path, "what holds it"):
        assert "distillery: what holds it is running already" in refused(*command)
    path.write_text("")  # of an earlier version, which wrote nothing there
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert f"{said} is running already" in refused(*command)


def test_who_waits_for_a_download_does_not_fetch_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tasks.get("rte")
    begun, waiting, fetched = threading.Event(), threading.Event(), []
    locked = files.locked

    def fetch_slowly(task: Task) -> None:
        fetched.append(task.name)
        begun.set()
        assert waiting.wait(timeout=pipeline.LIMIT)
        assert task.hub
        paths.hub_download(task.name, task.hub.revision).mkdir(parents=True)

    def noted(*args: Any, **options: Any) -> Any:
        if begun.is_set():
            waiting.set()
        return locked(*args, **options)

    monkeypatch.setattr(sources, "fetch", fetch_slowly)
    monkeypatch.setattr(files, "locked", noted)
    names = Namespace(teacher=None, task=["rte"], vectors=None)
    run = partial(fetch.run, Namespace(**vars(names), nltk=False, source=None, subset=False))
    first = threading.Thread(target=run)
    first.start()
    assert begun.wait(timeout=pipeline.LIMIT)
    assert sources.fetched(task) is None
    run()
    first.join()
    assert fetched == ["rte"]


def test_a_second_process_is_refused_and_the_first_ends_well(
    smoke_home: Path, smoke_copy: Path, warm_python: WarmPython, refused: Refused
) -> None:
    command = ("student", "--task", "smoke", "--student", "bilstm")
    results.json_path(paths.results(local=True), "bilstm_smoke").unlink()
    runs = paths.data() / "smoke/runs/bilstm_smoke"
    shutil.rmtree(runs)
    checkpoint = ("distillery.files:save_tensors", 1)
    first = pipeline.start_and_pause(warm_python, smoke_copy, checkpoint, *command)
    said = refused(*command)
    assert "experiment bilstm_smoke is running already" in said
    os.kill(first.pid, signal.SIGUSR1)
    assert first.wait(timeout=pipeline.LIMIT) == 0
    assert pipeline.differences(smoke_home, smoke_copy) == []


def test_waiting_for_a_lock_ends_when_it_is_free(home: Path) -> None:
    """Word pieces, measurements and fetched encoders are waited for, not refused."""
    path = paths.lock("encoded_smoke")
    code = (
        "import sys; from pathlib import Path; from distillery import files\n"
        "with files.locked(Path(sys.argv[1]), 'x', wait=True): print('held')"
    )
    import sys

    with files.locked(path, "x"):
        second = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            env={"PYTHONPATH": str(paths.ROOT / "src")},
            stdout=subprocess.PIPE,
            text=True,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            second.communicate(timeout=0.5)
    assert second.communicate(timeout=pipeline.LIMIT)[0] == "held\n"
