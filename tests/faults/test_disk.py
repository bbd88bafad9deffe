"""A disk that is full, or may not be written: one line, nothing half-written, then it goes on."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distillery import paths, results
from distillery.cli import main
from tests.faults.pipeline import differences

Refused = Callable[..., str]
STAGES = {
    "data": ["data", "--task", "smoke"],
    "tiny_smoke": ["teacher", "--task", "smoke", "--teacher", "tiny"],
    "bilstm_smoke": ["student", "--task", "smoke", "--student", "bilstm"],
}
ROOMS = (0, 8, 24, 64, 160, 240, 320, 1024)  # KiB


def _mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(smoke_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of `smoke_home` on a disk of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", disk)
    try:
        shutil.copytree(smoke_home, disk, dirs_exist_ok=True)
        monkeypatch.setenv("DISTILLERY_DATA", str(disk / "data"))
        monkeypatch.setenv("DISTILLERY_RESULTS", str(disk / "results"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _forget(name: str) -> None:
    """Removes what a stage has made."""
    if name == "data":
        for split in paths.SPLITS:
            paths.split("smoke", split).unlink()
        paths.manifest("smoke").unlink()
        return
    shutil.rmtree(paths.data() / "smoke/runs" / name)
    shutil.rmtree(paths.model("smoke", name))
    results.json_path(paths.results(local=True), name).unlink()
    if name == "tiny_smoke":
        shutil.rmtree(paths.data() / "smoke/outputs")


@pytest.mark.parametrize("name", STAGES)
def test_on_a_full_disk_a_stage_says_so_and_goes_on_when_there_is_room(
    smoke_home: Path, small_disk: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    _forget(name)
    used = -(-shutil.disk_usage(small_disk).used // 1024)
    failed = 0
    for room in ROOMS:
        _mount("-o", f"remount,size={used + room}k", small_disk)
        capsys.readouterr()
        status = main(STAGES[name])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        if status == 0:
            break
        (line,) = re.findall(r"^distillery: (.*)$", said.replace("\r", "\n"), re.MULTILINE)
        assert "No space left" in line
        assert str(small_disk) in line, "it names no file"
        assert not list(small_disk.rglob("*.partial"))
        failed += 1
    assert failed > 1, "the disk was never full"
    _mount("-o", "remount,size=64m", small_disk)
    assert main(STAGES[name]) == 0
    assert differences(smoke_home, small_disk) == []


@pytest.fixture
def read_only(smoke_copy: Path) -> Iterator[Callable[[Path], None]]:
    """Makes a folder read-only, for root too."""
    mounted: list[Path] = []

    def make(folder: Path) -> None:
        _mount("--bind", folder, folder)
        mounted.append(folder)
        _mount("-o", "remount,ro,bind", folder)
        assert not os.access(folder, os.W_OK)

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_results_that_cannot_be_written_are_known_before_the_work(
    smoke_copy: Path, refused: Refused, read_only: Callable[[Path], None]
) -> None:
    _forget("bilstm_smoke")
    read_only(smoke_copy / "results")
    assert "Read-only file system" in refused(*STAGES["bilstm_smoke"])
    assert not (paths.data() / "smoke/runs/bilstm_smoke").exists(), "it was trained for nothing"
    assert "Read-only file system" in refused("report", "--task", "smoke")


@pytest.mark.parametrize("name", STAGES)
def test_data_that_cannot_be_written_are_one_line(
    smoke_copy: Path, refused: Refused, read_only: Callable[[Path], None], name: str
) -> None:
    read_only(smoke_copy / "data")
    assert "Read-only file system" in refused(*STAGES[name], "--force")
