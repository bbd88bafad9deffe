"""The README's commands run, and its table is the one of the committed results."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from distillery import files, results
from distillery.report import page, speed
from distillery.report.rows import of_task
from distillery.report.table import summary
from distillery.tasks import smoke
from tests.conftest import WarmPython

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("   #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
# What stands for the real data and the real teacher in a test, where no minutes are to be had.
SMALL = {
    " --source aclImdb_v1.tar.gz": "",
    "mnli --source MNLI.zip --subset": "smoke --to 1",
    "sst2 --source SST-2.zip": "smoke --to 1",
    "imdb": "smoke",
    "demo": "smoke",
    "minilm": "tiny",
    "--data reviews.csv": "--to 1 --data reviews.csv",
    "--students bilstm": "--students bilstm --to 3",
    "--from 3": "--from 6",
    "--num_processes 2": "--num_processes 2 --main_process_port 0",  # any free port
}


def _small(command: str) -> str:
    for real, small in SMALL.items():
        command = command.replace(real, small)
    return command


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_knows_the_target(command: str) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    done = subprocess.run([make, "-n", command.split()[1]], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(  # tests/docker runs those of the container
    "command", [c for c in COMMANDS if not c.startswith(("make ", "./rundocker.sh "))]
)
def test_a_command_runs_as_it_stands(
    command: str, smoke_copy: Path, warm_python: WarmPython
) -> None:
    rows = smoke.generate()
    for name, split in (("reviews.csv", "train"), ("more.csv", "unlabeled")):
        lines = [f'"{row.text}",{row.label}' for row in rows[split]]
        (smoke_copy / name).write_text("text,label\n" + "\n".join(lines) + "\n")
    warm_python.clone(smoke_copy)
    done = subprocess.run(
        ["bash", "-c", _small(command)],
        cwd=smoke_copy,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_there_are_commands_to_test() -> None:
    assert {"make demo", "make test"} <= set(COMMANDS)
    assert len(COMMANDS) >= 6


def test_links_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


TABLES = re.findall(page.BEGIN.format(what="table", task=r"(\w+)"), README)


def _shown(what: str, task: str) -> str:
    begin, end = page.BEGIN.format(what=what, task=task), page.END.format(what=what)
    return README.split(begin)[1].split(end)[0].strip()


def test_the_tasks_with_results_have_a_table() -> None:
    found = results.read_all(ROOT / "results").values()
    assert sorted(TABLES) == sorted({result.task for result in found})


@pytest.mark.parametrize("task", TABLES)
def test_the_table_is_that_of_the_committed_results(task: str) -> None:
    shown = _shown("table", task)
    assert shown == summary(of_task(results.read_all(ROOT / "results"), task))


def test_the_speed_is_that_of_the_committed_benchmark() -> None:
    found = files.read_json(ROOT / "benchmarks/inference.json", "task", "ratios")
    assert _shown("speed", found["task"]) == speed.ratios(found)


def test_the_page_is_that_of_the_committed_results(tmp_path: Path) -> None:
    for folder in ("results", "benchmarks"):
        (tmp_path / folder).mkdir()
        for path in (ROOT / folder).glob("*.json"):
            shutil.copy(path, tmp_path / folder)
    shutil.copytree(ROOT / "results/predictions", tmp_path / "results/predictions")
    written = page.write(tmp_path / "results", benchmarks=tmp_path / "benchmarks")
    assert written.read_text() == (ROOT / "results/README.md").read_text()


def test_committed_results_carry_the_whole_contract(tmp_path: Path) -> None:
    """They are what would be written today, but for fields that came since."""
    found = results.read_all(ROOT / "results")
    assert found
    for name, result in found.items():
        assert result.commit["head"], name
        packed = results.predictions_path(ROOT / "results", name).read_bytes()
        results.write(tmp_path, result, packed)
        assert (tmp_path / f"{name}.txt").read_text() == (ROOT / f"results/{name}.txt").read_text()
        again, committed = (
            files.read_json(results.json_path(place, name))
            for place in (tmp_path, ROOT / "results")
        )
        assert committed.items() <= again.items()
        assert again.keys() - committed.keys() <= {"kind", "unlabeled_data"}
