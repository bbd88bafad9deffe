"""The doctor: what is missing is named with the command that mends it, and decides the status."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from distillery import doctor, encoders, files, paths
from distillery.cli import main

Lines = list[str]


@pytest.fixture
def minilm(home: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An encoder by the name of minilm in the home: the tiny one stands for its 90 MB."""
    anything = replace(encoders.ENCODERS["minilm"], sha256=None)
    monkeypatch.setitem(encoders.ENCODERS, "minilm", anything)
    with files.replacing_folder(paths.encoder("minilm")) as folder:
        shutil.copytree(tiny_folder, folder, dirs_exist_ok=True)
    return paths.encoder("minilm")


def _lines(capsys: pytest.CaptureFixture[str], status: int) -> Lines:
    capsys.readouterr()
    assert main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r"(ok|note|missing) ", line) for line in lines), lines
    problems = [line for line in lines if not line.startswith("ok ")]
    assert all("  ->  " in line for line in problems), problems
    return lines


def test_the_demo_can_run_where_its_encoder_is(
    minilm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = _lines(capsys, 0)
    text = "\n".join(lines)
    assert f"ok       encoder minilm in {minilm}" in lines
    assert f"Python {sys.version.split()[0]}" in text
    pinned = len(doctor.pins())
    assert f"{pinned} of {pinned} packages as pinned" in text
    assert re.search(r"CPU .*, \d+ threads, (bf16 by|no bf16)|GPU ", text)
    assert "docker" in text
    assert "task imdb: no splits yet  ->  scripts/run_all.sh imdb --to 1" in text


def test_a_missing_encoder_is_named_with_its_command(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = [line for line in _lines(capsys, 1) if line.startswith("missing")]
    assert "encoder minilm is not in" in line
    assert line.endswith("->  scripts/distillery fetch --teacher minilm")


def test_a_damaged_encoder_is_missing(minilm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = minilm / encoders.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    (line,) = [line for line in _lines(capsys, 1) if line.startswith("missing")]
    assert "model.safetensors is missing or damaged" in line
    assert f"->  rm -r {minilm} && scripts/distillery fetch" in line


def test_splits_are_counted_and_damaged_ones_named(
    smoke_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = _lines(capsys, 1)
    assert "ok       task smoke: train 128, dev 32, test 96, unlabeled 160 rows" in lines
    paths.split("smoke", "dev").write_bytes(b"")
    (line,) = [line for line in _lines(capsys, 1) if "task smoke" in line]
    assert line.startswith("note ")
    assert "dev.parquet is not the file of its manifest" in line
    assert line.endswith("->  scripts/run_all.sh smoke --to 1 --force")


def test_too_little_disk_or_memory_is_missing(
    minilm: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "DEMO_DISK", 1e18)
    monkeypatch.setattr(doctor, "DEMO_MEMORY", 1e18)
    missing = [line for line in _lines(capsys, 1) if line.startswith("missing")]
    assert [line.split()[1] for line in missing] == ["memory:", "disk:"]


def test_another_version_is_a_note_and_a_missing_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy==1.0\nno-such-package==2.0\n")
    states = [finding.state for finding in doctor._packages()]
    assert states == ["note", "missing", "ok"]


def test_the_oldest_python_is_that_of_the_project() -> None:
    facts = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    assert facts["project"]["requires-python"] == f">={'.'.join(map(str, doctor.PYTHON))}"


def _bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a Python without any packages."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "distillery", *arguments],
        env={**os.environ, "PYTHONPATH": str(paths.ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_bare_python_is_told_every_package(home: Path) -> None:
    done = _bare("doctor")
    assert done.returncode == 1
    assert done.stderr == ""
    for name, version in doctor.pins().items():
        assert f"missing  package {name} {version} is not installed" in done.stdout
    assert "missing  encoders: cannot be looked at (No module named" in done.stdout


def test_other_commands_of_a_bare_python_are_refused_in_one_line(home: Path) -> None:
    done = _bare("data", "--task", "smoke")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(
        r"distillery: package \w+ is missing: scripts/distillery doctor helps", line
    )
