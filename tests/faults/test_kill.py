"""A stage killed and started again ends as an undisturbed one does; the harness can tell.

Three kills in the suite; `make test-kill RUNS=30` makes more (`tests/faults/kill.py`).
"""

import shutil
import signal
from pathlib import Path

import pytest

from distillery import files, paths, results
from distillery.cli import main
from tests.conftest import WarmPython
from tests.faults import kill, pipeline

CHECKPOINT = ("distillery.files:save_tensors", 5)  # in the second of 4 or 8 epochs


@pytest.mark.parametrize(
    ("name", "stage", "how", "status"),
    [
        ("tiny_smoke", "teacher --teacher tiny", signal.SIGTERM, 143),
        ("bilstm_smoke", "student --student bilstm", signal.SIGINT, 130),
        (
            "distil_attention_tiny_smoke",
            "distil --teacher tiny --student attention",
            signal.SIGKILL,
            -9,
        ),
    ],
)
def test_stopped_in_training_it_goes_on_to_the_same_files(
    smoke_home: Path,
    smoke_copy: Path,
    warm_python: WarmPython,
    name: str,
    stage: str,
    how: signal.Signals,
    status: int,
) -> None:
    runs = paths.data() / "smoke/runs" / name
    command = [*stage.split(), "--task", "smoke"]
    results.json_path(paths.results(local=True), name).unlink()
    shutil.rmtree(runs)
    often = [*command, "--checkpoint-seconds", "0"]
    process = pipeline.start_and_pause(warm_python, smoke_copy, CHECKPOINT, *often)
    pipeline.kill(process, how)
    assert process.returncode == status
    said = (smoke_copy / "log").read_text()
    assert "Traceback" not in said
    stopped = "distillery: stopped; run the same command again to resume"
    assert (said.splitlines()[-1:] == [stopped]) == (how != signal.SIGKILL)
    (smoke_copy / "log").unlink()
    assert any(runs.rglob("checkpoint.safetensors"))
    assert main(command) == 0
    assert pipeline.differences(smoke_home, smoke_copy) == []


def test_killed_before_its_checkpoints_went_it_still_removes_them(smoke_copy: Path) -> None:
    command = ["student", "--task", "smoke", "--student", "bilstm"]
    results.json_path(paths.results(local=True), "bilstm_smoke").unlink()
    [done] = (paths.data() / "smoke/runs/bilstm_smoke").glob("*/done.json")
    left = done.parent / "phase1/checkpoint.safetensors"
    left.write_bytes(b"left")
    assert main(command) == 0
    assert done.is_file()
    assert not left.exists()


def test_pretraining_removes_what_a_kill_kept_from_going(home: Path) -> None:
    assert main(["data", "--task", "smoke"]) == 0
    for _ in range(2):
        assert main(["pretrain", "--task", "smoke", "--teacher", "tiny"]) == 0
        runs = paths.data() / "smoke/runs/tiny"
        [place] = runs.iterdir()
        assert not any(runs.rglob("*.safetensors*"))
        (place / "checkpoint.safetensors").write_bytes(b"left")


def test_a_difference_in_any_file_is_seen(smoke_home: Path, smoke_copy: Path) -> None:
    assert pipeline.differences(smoke_home, smoke_copy) == []
    weights = paths.model("smoke", "bilstm_smoke") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    result = results.json_path(paths.results(local=True), "bilstm_smoke")
    facts = files.read_json(result)
    facts["runs"][0]["seconds"] += 1
    files.write_json(result, facts)
    paths.split("smoke", "dev").unlink()
    expected = [
        path.relative_to(smoke_copy).as_posix() for path in (paths.split("smoke", "dev"), weights)
    ]
    assert pipeline.differences(smoke_home, smoke_copy) == expected
    facts["runs"][0]["dev"]["accuracy"] += 0.01
    files.write_json(result, facts)
    assert result.relative_to(smoke_copy).as_posix() in pipeline.differences(smoke_home, smoke_copy)


def test_a_seed_gives_its_moments_again() -> None:
    timed = [kill.Timed(stage, 3.0, 3.0 + n) for n, stage in enumerate(pipeline.STAGES)]
    chosen = kill.moments(timed, 7, 0, 50)
    assert chosen == kill.moments(timed, 7, 0, 50)
    assert chosen != kill.moments(timed, 8, 0, 50)
    assert chosen != kill.moments(timed, 7, 1, 50)
    assert {moment.how for moment in chosen} == {signal.SIGKILL, signal.SIGTERM}
    ends = {one.stage: one.end for one in timed}
    assert all(3.0 <= moment.cpu <= ends[moment.stage] for moment in chosen)
    assert len({moment.stage for moment in chosen}) > 4
