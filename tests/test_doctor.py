"""The doctor: what is missing is named with the command that mends it, and decides the status."""

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from distillery import __main__, doctor, encoders, files, paths
from distillery.cli import main

Lines = list[str]


@pytest.fixture(autouse=True)
def enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on how much of the disk is free here."""
    monkeypatch.setattr(doctor, "DEMO_DISK", 0.0)


@pytest.fixture
def minilm(home: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An encoder by the name of minilm in the home: the tiny one stands for its 90 MB."""
    anything = replace(encoders.ENCODERS["minilm"], sha256=None)
    monkeypatch.setitem(encoders.NAMED, "minilm", anything)
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
    assert re.search(r"CPU .*, \d+ threads, (no )?bf16|GPU ", text)
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


def test_too_little_disk_is_missing(
    minilm: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "DEMO_DISK", 1e18)
    missing = [line for line in _lines(capsys, 1) if line.startswith("missing")]
    assert [line.split()[1] for line in missing] == ["disk:"]


def test_another_version_is_a_note_and_a_missing_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy==1.0\nno-such-package==2.0\n")
    states = [finding.state for finding in doctor._packages()]
    assert states == ["note", "missing", "ok"]


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
        state = "note    " if name in doctor.EXTRAS else "missing "
        assert f"{state} package {name} {version} is not installed" in done.stdout
    assert "missing  compute: could not be checked (No module named" in done.stdout


def test_other_commands_of_a_bare_python_are_refused_in_one_line(home: Path) -> None:
    done = _bare("data", "--task", "smoke")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(
        r"distillery: package \w+ is missing: (make install|.* -m pip install .*)", line
    )


def test_a_file_in_place_of_the_data_folder_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.data().write_text("no folder")
    missing = [line for line in _lines(capsys, 1) if line.startswith("missing")]
    assert f"disk: {paths.data()} is no folder  ->  export DISTILLERY_DATA=" in missing[0]


def test_a_remedy_can_be_pasted_whatever_a_folder_is_called(
    minilm: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = shutil.copytree(paths.data(), tmp_path / "my data; Ü")
    monkeypatch.setenv("DISTILLERY_DATA", str(data))
    (paths.encoder("minilm") / encoders.WEIGHTS).unlink()
    (paths.encoder("minilm") / encoders.WEIGHTS).write_bytes(b"")
    [line] = [line for line in _lines(capsys, 1) if line.startswith("missing")]
    command = line.partition("  ->  ")[2].partition(" && ")[0]
    assert shlex.split(command) == ["rm", "-r", str(paths.encoder("minilm"))]


def test_splits_of_ones_own_data_want_their_file_again(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write_json(paths.manifest("mine"), {"version": 0})
    [line] = [line for line in _lines(capsys, 1) if "task mine" in line]
    assert line.endswith("->  scripts/run_all.sh mine --to 1 --force --data FILE")


@pytest.mark.parametrize("error", ["ImportError('libcudart.so: no such file')", "OSError('libx')"])
def test_a_broken_package_is_told_without_a_traceback(home: Path, error: str) -> None:
    (home / "torch").mkdir()
    (home / "torch/__init__.py").write_text(f"raise {error}\n")
    environment = {**os.environ, "PYTHONPATH": f"{home}:{paths.ROOT / 'src'}"}
    student = "student --task smoke --student bag"
    for command, status in (("doctor", 1), (student, 2), ("data --task smoke", 0)):
        done = subprocess.run(
            [sys.executable, "-m", "distillery", *command.split()],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        if status:  # stage 1 needs no torch
            said = done.stdout if command == "doctor" else done.stderr
            assert re.search("lib(cudart|x)", said)


def test_a_check_that_fails_oddly_does_not_silence_the_others() -> None:
    def _odd() -> Iterator[doctor.Finding]:
        raise RuntimeError("numpy.dtype size changed")

    [finding] = doctor._guarded(_odd)
    assert "odd: could not be checked (numpy.dtype size changed)" in str(finding)


def test_a_terminal_without_some_letters_shows_the_rest(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "distillery", "doctor"],
        env={
            **os.environ,
            "PYTHONPATH": str(paths.ROOT / "src"),
            "PYTHONIOENCODING": "ascii:strict",
            "DISTILLERY_DATA": str(home / "Übung"),
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "\\xdcbung" in done.stdout


def test_an_old_python_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    oldest = ".".join(map(str, __main__.PYTHON))
    assert facts["project"]["requires-python"] == f">={oldest}"
    monkeypatch.setattr(__main__, "PYTHON", (9, 0))
    assert __main__.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("is too old: 9.0 or newer is needed")


@pytest.mark.parametrize("module", ["__init__", "__main__", "registration"])
def test_an_old_python_can_read_what_refuses_it(module: str) -> None:
    text = (paths.ROOT / f"src/distillery/{module}.py").read_text()
    ast.parse(text, feature_version=(3, 8))
    assert "|" not in text or "from __future__ import annotations" in text


def test_the_runtime_alone_is_enough_outside_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    assert doctor.run() == 0
    said = capsys.readouterr().out
    assert "ok       the runtime is installed" in said
    assert "note     the stages are not installed" in said
