"""A stage killed with SIGKILL and started again ends as an undisturbed one does."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from distillery import paths, results
from distillery.cli import main

STAGES = {
    "data": ["data", "--task", "smoke"],
    "tiny_smoke": ["teacher", "--task", "smoke", "--teacher", "tiny"],
    "bilstm_smoke": ["student", "--task", "smoke", "--student", "bilstm"],
    "distil_attention_tiny_smoke": [
        *("distil", "--task", "smoke", "--teacher", "tiny", "--student", "attention"),
    ],
}


def _wait_for(process: Popen[bytes], sign: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while process.poll() is None and not sign() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("name", [name for name in STAGES if name != "data"])
def test_killed_in_training_it_goes_on_to_the_same_result(
    smoke_copy: Path, spawn: Callable[..., Popen[bytes]], name: str
) -> None:
    path = results.json_path(paths.results(local=True), name)
    before = json.loads(path.read_text())
    command = [*STAGES[name], "--force", "--checkpoint-seconds", "0"]
    runs = paths.data() / "smoke/runs" / name
    process = spawn(*command)
    _wait_for(process, lambda: any(runs.rglob("checkpoint.safetensors")))
    time.sleep(random.Random(name).random() / 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if name == "tiny_smoke":  # and record anew
        for index in paths.data().glob("smoke/outputs/*/index.json"):
            index.unlink()
    path.unlink()  # --force again would throw the checkpoint away
    assert main([argument for argument in STAGES[name] if argument != "--force"]) == 0
    after = json.loads(path.read_text())
    assert after["outputs"] == before["outputs"]
    assert after["runs"][0]["history"] == before["runs"][0]["history"]
    assert after["metrics"] == before["metrics"]


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_in_training_it_says_so_in_a_line_and_goes_on(
    smoke_copy: Path, spawn: Callable[..., Popen[bytes]], sent: signal.Signals, status: int
) -> None:
    path = results.json_path(paths.results(local=True), "bilstm_smoke")
    before = json.loads(path.read_text())
    runs = paths.data() / "smoke/runs/bilstm_smoke"
    process = spawn(*STAGES["bilstm_smoke"], "--force", "--checkpoint-seconds", "0")
    _wait_for(process, lambda: any(runs.rglob("checkpoint.safetensors")))
    os.killpg(process.pid, sent)
    _, said = process.communicate()
    assert process.returncode == status
    assert said.decode().splitlines()[-1] == (
        "distillery: stopped; the same command goes on where it was"
    )
    assert b"Traceback" not in said
    path.unlink()
    assert main(STAGES["bilstm_smoke"]) == 0
    assert json.loads(path.read_text())["outputs"] == before["outputs"]


def test_killed_while_splits_are_made_it_makes_them_anew(
    home: Path, spawn: Callable[..., Popen[bytes]]
) -> None:
    process = spawn(*STAGES["data"])
    _wait_for(process, lambda: paths.split("smoke", "train").exists())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert main(STAGES["data"]) == 0
    killed = json.loads(paths.manifest("smoke").read_text())
    assert main([*STAGES["data"], "--force"]) == 0
    assert json.loads(paths.manifest("smoke").read_text()) == killed


def test_a_second_run_of_the_same_experiment_is_refused_by_name(
    smoke_copy: Path, refused: Callable[..., str]
) -> None:
    from distillery import files

    with files.locked(paths.lock("bilstm_smoke"), "x"):
        said = refused(*STAGES["bilstm_smoke"], "--force")
    assert "experiment bilstm_smoke is running already" in said
