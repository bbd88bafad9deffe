"""The shell side: every experiment has its script, and each says what it runs."""

import itertools
import subprocess
from pathlib import Path

import pytest

from distillery import recipes
from distillery.recipes.names import BASELINES, STUDENTS

ROOT = Path(__file__).resolve().parents[2]
TEACHERS = {"imdb": ("bert", "minilm"), "demo": ("minilm",), "smoke": ("tiny",)}
TASK_STUDENTS = {"imdb": tuple(STUDENTS), "demo": ("bilstm", "attention")}
TASK_STUDENTS["smoke"] = (*TASK_STUDENTS["demo"], "bag")
TASK_COMPRESSED = {task: recipes.plan(task).compressed for task in ("imdb", "smoke")}


def _expected() -> dict[str, str]:
    scripts = {"data/augment.sh": 'augment "${task[@]}"'}
    for task, teachers in TEACHERS.items():
        students = TASK_STUDENTS[task]
        scripts[f"data/{task}.sh"] = f"data --task {task}"
        for teacher in teachers:
            scripts[f"teacher/{teacher}_{task}.sh"] = f"teacher --task {task} --teacher {teacher}"
            if recipes.teacher(task, teacher).pretraining == "task":
                scripts[f"teacher/pretrain_{teacher}_{task}.sh"] = (
                    f"pretrain --task {task} --teacher {teacher}"
                )
        for name in BASELINES:
            scripts[f"student/{name}_{task}.sh"] = f"baseline --task {task} --baseline {name}"
        for student in students:
            scripts[f"student/{student}_{task}.sh"] = f"student --task {task} --student {student}"
        for student, teacher in itertools.product(students, teachers):
            scripts[f"distillation/{student}_{teacher}_{task}.sh"] = (
                f"distil --task {task} --teacher {teacher} --student {student}"
            )
    for task, compressed in TASK_COMPRESSED.items():
        teacher = TEACHERS[task][-1]
        steps = [("export", teacher), ("quantize", teacher)] if task == "imdb" else []
        for student in compressed:
            scripts[f"compression/compress_{student}_{teacher}_{task}.sh"] = (
                f"compress --task {task} --teacher {teacher} --student {student}"
            )
            name = f"distil_{student}_{teacher}"
            steps += [(step, name) for step in ("prune", "quantize", "export")]
        for step, name in steps:
            model = f"{name}_{task}"
            scripts[f"compression/{step}_{model}.sh"] = f"{step} --task {task} --model {model}"
    return scripts


def test_every_experiment_has_its_script_and_no_other_is_there() -> None:
    found = {p.relative_to(ROOT / "scripts").as_posix() for p in ROOT.glob("scripts/*/*.sh")}
    assert found == set(_expected())


@pytest.mark.parametrize(("name", "arguments"), _expected().items())
def test_a_script_is_one_command_and_passes_options_on(name: str, arguments: str) -> None:
    path = ROOT / "scripts" / name
    lines = path.read_text().splitlines()
    assert path.stat().st_mode & 0o111
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert lines[-1] == f'exec "$(dirname "${{BASH_SOURCE[0]}}")/../distillery" {arguments} "$@"'


def test_augmentation_names_its_task_first(home: Path) -> None:
    script = ROOT / "scripts/data/augment.sh"
    done = _run(script, "smoke", "--copies", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "copies 0 is impossible: 1 to 1000" in done.stderr
    assert "required: --task" in _run(script).stderr
    assert "--p-mask" in _run(script, "--help").stdout


def _run(*command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, check=False)


def test_a_script_works_from_any_folder_and_knows_its_options(tmp_path: Path) -> None:
    done = _run(ROOT / "scripts/distillation/bilstm_minilm_imdb.sh", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--learning-rate" in done.stdout
    from distillery.distillation.losses import LOSSES

    said = " ".join(done.stdout.split())
    assert "losses as name:weight" in said
    assert all(name in said for name in LOSSES)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "name the task first"),
        (["smoke", "--from", "7"], "--from 7 is impossible"),
        (["smoke", "--from", "4", "--to", "2"], "--from 4 is behind --to 2"),
        (["smoke", "--to"], "--to needs a value"),
        (["smoke", "--from", "6", "--data", "x"], "--data is an option of stage 1"),
    ],
)
def test_run_all_refuses_bad_options(arguments: list[str], expected: str) -> None:
    done = _run(ROOT / "scripts/run_all.sh", *arguments)
    assert done.returncode == 2
    assert expected in done.stderr


def test_run_all_tells_how_to_use_it() -> None:
    done = _run(ROOT / "scripts/run_all.sh", "--help")
    assert done.returncode == 0
    assert "--data reviews.csv" in done.stdout


def test_run_all_runs_only_the_stages_asked_for(home: Path) -> None:
    done = _run(ROOT / "scripts/run_all.sh", "smoke", "--to", "1", cwd=home)
    assert done.returncode == 0, done.stderr
    assert (home / "data/smoke/manifest.json").is_file()
    assert not (home / "results").exists()
