"""What stage 6 prints: the table, and commands to try that work as they are printed."""

import re
import shlex
from pathlib import Path

import pytest

from distillery import paths, results
from distillery.cli import main


def _try_next(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The commands under "try next" of a report."""
    caplog.clear()
    assert main(["report", "--task", "smoke"]) == 0
    (message,) = [m for m in caplog.messages if m.startswith("try next:\n")]
    return message.splitlines()[1:]


def test_the_report_prints_the_table(smoke_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--task", "smoke", "--model", "distil_bilstm_tiny_smoke"]) == 0
    capsys.readouterr()
    assert main(["report", "--task", "smoke"]) == 0
    table, compressed = capsys.readouterr().out.strip().split("\n\n")
    found = results.read_all(paths.results(local=True))
    score = {name: f"{100 * result.metrics['accuracy']:.2f}" for name, result in found.items()}
    lines = {re.split(r"  +", line)[0]: line for line in table.splitlines()}
    assert len(set(map(len, lines.values()))) == 1, "aligned"
    assert re.split(r"  +", lines["bilstm"])[1:3] == [
        score["bilstm_smoke"],
        score["distil_bilstm_tiny_smoke"],
    ]
    assert re.split(r"  +", lines["tiny (teacher)"])[1] == score["tiny_smoke"]
    assert compressed.splitlines()[1].split()[:2] == [
        "distil_bilstm_tiny_smoke.onnx",
        score["distil_bilstm_tiny_smoke.onnx"],
    ]


def test_commands_to_try_work_as_printed(
    smoke_copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They name the smallest distilled student; once one is exported, that one."""
    monkeypatch.chdir(smoke_copy)
    caplog.set_level("INFO")
    assert main(["export", "--task", "smoke", "--model", "distil_attention_tiny_smoke"]) == 0
    with_text, _ = _try_next(caplog)
    words = shlex.split(with_text)
    assert words[:3] == [
        "scripts/distillery",
        "predict",
        "data/smoke/models/distil_attention_tiny_smoke.onnx",
    ]
    capsys.readouterr()
    assert main(words[1:]) == 0
    assert capsys.readouterr().out.startswith(("negative\t", "positive\t"))


def test_nothing_to_try_without_models(smoke_copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As in a clone that has results alone."""
    caplog.set_level("INFO")
    (paths.data() / "smoke").rename(smoke_copy / "elsewhere")
    assert main(["report", "--task", "smoke"]) == 0
    assert not any("try next" in message for message in caplog.messages)
