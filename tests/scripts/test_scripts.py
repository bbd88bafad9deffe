"""The shell side: every experiment has its script, and each says what it runs."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distillery import paths, recipes, tasks
from distillery.encoders import ENCODERS
from distillery.recipes import options
from distillery.stages import scripts
from distillery.students import STUDENTS

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("data", "teacher", "student", "distillation", "compression")
REAL = [name for name in tasks.names() if not tasks.get(name).synthetic]


def test_every_experiment_has_its_script_as_it_is_made_and_no_other_is_there() -> None:
    """After a task or a student was added: make scripts."""
    found = [path for folder in FOLDERS for path in ROOT.glob(f"scripts/{folder}/*.sh")]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in found}
    del texts["scripts/data/augment.sh"]  # takes any task
    assert texts == scripts.wanted()
    assert all(path.stat().st_mode & 0o111 for path in found)


@pytest.mark.parametrize("task", REAL)
def test_a_real_task_has_all_that_names_promise(task: str) -> None:
    baselines = tasks.get(task).kind.baselines
    names = [f"data/{task}", *(f"student/{name}_{task}" for name in (*baselines, *STUDENTS))]
    for teacher in ENCODERS:
        names += [f"teacher/{teacher}_{task}"]
        names += [f"distillation/{student}_{teacher}_{task}" for student in STUDENTS]
    assert {f"scripts/{name}.sh" for name in names} <= set(scripts.wanted())


def test_a_script_is_one_command_and_passes_options_on() -> None:
    assert (ROOT / "scripts/distillation/bilstm_minilm_imdb.sh").read_text() == (
        "#!/usr/bin/env bash\n"
        "# Stage 4: distils minilm into bilstm on imdb.\n"
        "# Made by `make scripts`. Options: --help lists them.\n"
        "set -euo pipefail\n"
        'exec "$(dirname "$(readlink -f -- "${BASH_SOURCE[0]}")")/../distillery" distil --task imdb'
        ' --teacher minilm --student bilstm "$@"\n'
    )


def test_scripts_are_mended_and_those_of_a_lost_task_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    folder = tmp_path / "scripts"
    (folder / "student").mkdir(parents=True)
    (folder / "distillery").touch()
    changed, lost, own = (folder / f"student/{n}.sh" for n in ("bilstm_imdb", "bilstm_lost", "my"))
    for path in (changed, lost):
        path.write_text(f"{scripts.MARK}\n")
    own.write_text("echo mine\n")
    scripts.run()
    assert changed.read_text() == scripts.wanted()["scripts/student/bilstm_imdb.sh"]
    assert changed.stat().st_mode & 0o111
    assert not lost.exists()
    assert own.read_text() == "echo mine\n"


def test_augmentation_names_its_task_first(home: Path) -> None:
    script = ROOT / "scripts/data/augment.sh"
    done = _run(script, "smoke", "--copies", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "copies 0 is impossible: 1 to 1000" in done.stderr
    assert "required: --task" in _run(script).stderr
    assert "--p-mask" in _run(script, "--help").stdout


def _run(
    *command: object, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    ["student --task smoke --student bilstm --help", "plan --task smoke", "--help"],
)
def test_what_computes_nothing_does_not_wait_for_torch(command: str) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "distillery", *command.split()]
    done = _run(*words, PYTHONPATH=str(ROOT / "src"))
    assert done.returncode == 0
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "distillery.recipes" in loaded
    assert not loaded & {"torch", "transformers"}


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("distillery", ["plan", "--task", "smoke"]),
        ("run_all.sh", ["--help"]),
        ("data/smoke.sh", ["--help"]),
    ],
)
def test_a_link_to_a_script_works(tmp_path: Path, script: str, arguments: list[str]) -> None:
    (tmp_path / "link").symlink_to(ROOT / "scripts" / script)
    (tmp_path / "again").symlink_to("link")
    linked, plain = (
        _run(path, *arguments) for path in (tmp_path / "again", ROOT / "scripts" / script)
    )
    assert (linked.returncode, linked.stderr) == (0, "")
    assert linked.stdout == plain.stdout


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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "name the task first"),
        (["smoke", "--only"], "--only needs a value"),
        (["smoke", "--only", "base,best"], "unknown variant 'best': choose from "),
        (["smoke", "--only", ""], "unknown variant '': choose from "),
        (["smoke", "--student", "bert_tiny"], "bert_tiny is taught in two phases"),
        (["smoke", "--student", "gru"], "unknown student 'gru': choose from "),
        (["smoke", "--student", "bag"], "a bag has no such embeddings"),
    ],
)
def test_ablation_refuses_bad_options(arguments: list[str], expected: str) -> None:
    done = _run(ROOT / "scripts/ablation.sh", *arguments)
    assert done.returncode == 2
    assert expected in done.stderr


def test_every_variant_of_the_ablation_changes_the_recipe(tmp_path: Path) -> None:
    shutil.copy(ROOT / "scripts/ablation.sh", tmp_path)
    real = ROOT / "scripts/distillery"
    _stub(tmp_path, "distillery", f'case $1 in ablation) {real} "$@" ;; *) echo $* ;; esac')
    done = _run(tmp_path / "ablation.sh", "imdb", "--student", "bigru", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    *commands, report = done.stdout.splitlines()
    assert report == "report --task imdb"
    recipe = recipes.distillation("imdb", "bigru", "minilm")
    parser = argparse.ArgumentParser()
    options.add(parser, recipe)
    parser.add_argument("--variant")
    made = {}
    for command in commands:
        start = "distil --task imdb --teacher minilm --student bigru "
        if command.startswith(start):
            given = parser.parse_args(
                command.removeprefix(start).removesuffix(" --seeds 2").split()
            )
            made[given.variant] = options.apply(recipe, given).hash()
    assert made.keys() == {f"ablation_{name}" for name in scripts.VARIANTS}
    assert len(set(made.values())) == len(made)
    assert commands[-3:-1] == ["augment --task imdb", "record --task imdb --teacher minilm"]


def test_run_all_tells_how_to_use_it() -> None:
    done = _run(ROOT / "scripts/run_all.sh", "--help")
    assert done.returncode == 0
    assert "--data reviews.csv" in done.stdout


def test_run_all_runs_only_the_stages_asked_for(home: Path) -> None:
    done = _run(ROOT / "scripts/run_all.sh", "smoke", "--to", "1", cwd=home)
    assert done.returncode == 0, done.stderr
    assert (home / "data/smoke/manifest.json").is_file()
    assert not (home / "results").exists()


@pytest.mark.parametrize("launch", ["", "--num_processes 1"])
def test_run_all_runs_one_process_unless_stages_are_launched(tmp_path: Path, launch: str) -> None:
    shutil.copy(ROOT / "scripts/run_all.sh", tmp_path)
    real = ROOT / "scripts/distillery"
    _stub(tmp_path, "distillery", f'[ "$1" = plan ] && exec {real} "$@"\necho "$*"')
    given = ["demo", "--seeds", "2", "--students", "bilstm", "--source", "a  ü", "--force"]
    done = _run(tmp_path / "run_all.sh", *given, DISTILLERY_LAUNCH=launch)
    assert done.returncode == 0, done.stderr
    teacher, student = "--task demo --teacher minilm", "--student bilstm"
    commands = [
        "data --task demo --force --source a  ü",
        f"teacher {teacher} --force --seeds 2",
        "baseline --task demo --baseline all --force",
        f"student --task demo {student} --force --seeds 2",
        f"distil {teacher} {student} --force --seeds 2",
        f"compress {teacher} {student} --force",
        "report --task demo",
    ]
    assert done.stdout.splitlines() == (commands if launch else [" --then ".join(commands)])


def _stub(folder: Path, name: str, text: str) -> Path:
    """A command in `folder` that does as `text` says."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "script", ["scripts/distillery", "scripts/run_all.sh", "scripts/ablation.sh"]
)
def test_a_cdpath_does_not_lead_a_script_astray(tmp_path: Path, script: str) -> None:
    """With CDPATH, `cd` prints where it went."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    python = (
        "case $* in *plan*) echo teachers; echo students; echo known;;"
        " *' ablation '*) echo base;; *) echo $*;; esac"
    )
    _stub(tmp_path, ".venv/bin/python", python)
    done = _run(script, "smoke", cwd=tmp_path, CDPATH=".")
    assert done.returncode == 0, done.stderr
    assert "smoke" in done.stdout


def _tools(folder: Path, *names: str) -> str:
    """A PATH with these commands alone."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(str(shutil.which(name)))
    return str(folder)


def test_without_python_one_line_says_what_to_install(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    path = _tools(tmp_path / "bin", "bash", "dirname", "readlink")
    done = _run(tmp_path / "scripts/distillery", "doctor", PATH=path)
    assert done.returncode == 2
    assert done.stderr.startswith("distillery: python3 is missing: apt-get install")
    assert len(done.stderr.splitlines()) == 1


def _download(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """download_requirements.sh where there is no .venv but a Docker."""
    shutil.copy(ROOT / "download_requirements.sh", folder)
    _stub(folder, "rundocker.sh", 'printf "%s\\n" "$@"')
    _stub(folder, "bin/docker", "true")
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    script = folder / "download_requirements.sh"
    return _run(script, *arguments, cwd=folder, PATH=path, DISTILLERY_DATA=str(folder / "my data"))


@pytest.mark.parametrize("option", [["--source", "my data/Ü/a.zip"], ["--source=my data/Ü/a.zip"]])
def test_a_source_is_named_as_the_container_sees_it(tmp_path: Path, option: list[str]) -> None:
    (tmp_path / "my data/Ü").mkdir(parents=True)
    (tmp_path / "my data/Ü/a.zip").touch()
    done = _download(tmp_path, "--task", "imdb", *option)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-4:] == ["--task", "imdb", "--source", "data/Ü/a.zip"]


def test_a_source_that_the_container_does_not_see_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    for source, said in (("nowhere", "does not exist"), ("rundocker.sh", "is not in")):
        done = _download(tmp_path, "--task", "imdb", "--source", source)
        assert done.returncode == 2
        assert f"source {source} {said}" in done.stderr
        assert done.stdout == ""
    assert "needs a value" in _download(tmp_path, "--source").stderr
