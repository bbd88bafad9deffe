"""The benchmark of cold starts: real models answer, and figures become medians and ratios."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cold
from distillery import paths
from distillery.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_its_models_are_answered_by_its_commands(tmp_path: Path) -> None:
    cold.make(tmp_path)
    commands = cold.commands(tmp_path)
    assert len(commands) == 4
    assert (tmp_path / "distilbert/model.safetensors").stat().st_size > 250e6  # of 66M weights
    name = "`predict`, student, ONNX int8"
    code = (
        "import json, sys; from benchmarks import cold; print(json.dumps(cold.run(sys.argv[1:])))"
    )
    done = subprocess.run(  # a small process: the memory of this one would be counted too
        [sys.executable, "-c", code, *commands[name]],
        cwd=paths.ROOT,
        env={**os.environ, "PYTHONPATH": str(paths.ROOT / "src")},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["cpu_seconds"] > 0
    assert 10e6 < found["peak_memory"] < 200e6


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="failed: ValueError: no model"):
        cold.run([sys.executable, "-c", "raise ValueError('no model')"])


def test_figures_are_medians_beside_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"small": iter([9.0, 1.0, 3.0, 2.0]), cold.BASELINE: iter([9.0, 8.0, 8.0, 7.0])}
    monkeypatch.setattr(cold, "commands", lambda place: {name: [name] for name in seconds})

    def run(command: list[str]) -> dict[str, float]:
        value = next(seconds[command[0]])
        return {"seconds": value, "cpu_seconds": value, "peak_memory": value * 1e6}

    monkeypatch.setattr(cold, "run", run)
    small, base = cold.measure(tmp_path, 3)  # the first round is not counted
    assert (small["cpu_seconds"], small["cpu_seconds_ratio"]) == (2.0, 4.0)
    assert (base["cpu_seconds"], base["peak_memory_ratio"]) == (8.0, 1.0)
    environment = {"cpu": "CPU", "threads": 2, "torch": "2", "transformers": "5"}
    environment |= {"onnxruntime": "1"}
    page = cold.report(
        {
            "commit": {"head": COMMIT, "dirty": False},
            "environment": environment,
            "rows": [small, base],
            "repeats": 3,
        }
    )
    assert "| small | 2.00 (4.0x) | 2.00 (4.0x) | 2 MB (4.0x) |" in page
    assert "at commit 0123456: CPU" in page
