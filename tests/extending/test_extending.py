"""The examples of docs/extending.md: each is a patch, applied to a copy of the source and run.

A patch that no longer applies has to be made again, and the page with it, from a changed copy of
the source: `git diff -U1 src > tests/extending/NAME.patch`.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery import files
from distillery.cli import main
from tests.conftest import ROOT, WarmPython

HERE = Path(__file__).parent
FILES = {"task": 2, "student": 3, "loss": 2, "baseline": 3, "kind": 6}  # that a patch touches
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
TINY = ["--teacher", "tiny", "--teacher-variant", "small"]
SMALL = ["--variant", "small", "--max-length", "32", "--learning-rate", "5e-3", "--epochs", "16"]
STUDENT = [*SMALL, "--tokenizer", "tiny", "--embedding-size", "16", "--hidden-size", "32"]

Run = Callable[..., str]


def _patch(name: str) -> str:
    return (HERE / f"{name}.patch").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def with_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the data and the teacher of `smoke`."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("DISTILLERY_DATA", str(folder / "data"))
        monkeypatch.setenv("DISTILLERY_RESULTS", str(folder / "results"))
        assert main(["data", "--task", "smoke"]) == 0
        assert main(["teacher", "--task", "smoke", "--teacher", "tiny"]) == 0
    return folder


@pytest.fixture
def extended(home: Path, warm_python: WarmPython) -> Callable[[str], Run]:
    """Applies a patch to a copy of the source; gives what runs a command of that copy."""

    def extend(name: str) -> Run:
        leave_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / "src", home / "src", ignore=leave_out)
        alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(home.parent)}  # in no repository
        apply = ["git", "apply", str(HERE / f"{name}.patch")]
        done = subprocess.run(apply, cwd=home, env=alone, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

        def run(*command: str) -> str:
            done = subprocess.run(
                [warm_python.path, "-m", "distillery", *command],
                env={**os.environ, "PYTHONPATH": str(home / "src")},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        return run

    return extend


def result(home: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = files.read_json(home / f"results/local/{name}.json")
    return found


def test_there_is_a_patch_for_each() -> None:
    assert {path.stem for path in HERE.glob("*.patch")} == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_patch_touches_few_files(name: str) -> None:
    assert len(re.findall(r"^diff --git ", _patch(name), re.MULTILINE)) == FILES[name]


@pytest.mark.parametrize("name", FILES)
def test_the_page_names_the_files_and_shows_the_lines_of_the_patch(name: str) -> None:
    section = re.split(r"^## ", PAGE.split(f"\n## A {name}\n")[1], flags=re.MULTILINE)[0]
    for path in re.findall(r"^\+\+\+ b/src/distillery/(.*)$", _patch(name), re.MULTILINE):
        assert f"`{path}`" in section
    added = "\n".join(line[1:] for line in _patch(name).splitlines() if line.startswith("+"))
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert blocks
    for block in blocks:
        assert block in f"{added}\n"


def test_the_page_names_files_that_exist_or_that_a_patch_adds() -> None:
    added = {path for name in FILES for path in re.findall(r"^\+\+\+ b/(.*)$", _patch(name), re.M)}
    for path in re.findall(r"`([a-z0-9_/]+\.py)`", PAGE):
        source = f"src/distillery/{path}"
        assert (ROOT / source).is_file() or source in added, path
    for link in re.findall(r"\]\(([^)#:]+)", PAGE):
        assert (HERE.parents[1] / "docs" / link).exists(), link


def test_a_task_is_read_and_learned(home: Path, extended: Callable[[str], Run]) -> None:
    run = extended("task")
    for name, rows in (("train", 120), ("dev", 24)):
        lines = ["index\tquestion\tsentence\tlabel"]
        for row in range(rows):
            word, label = (("good", "entailment"), ("bad", "not_entailment"))[row % 2]
            lines.append(f"{row}\twas film {row} of {name} fine\tit was {word}\t{label}")
        (home / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    run("data", "--task", "qnli", "--source", str(home), "--subset")
    run("teacher", "--task", "qnli", "--teacher", "tiny", *SMALL)
    assert "max-length" in run("recipe", "--task", "qnli")
    found = files.read_json(home / "results/tiny_qnli.small.json")
    assert found["n"] == 24
    assert found["metrics"]["accuracy"] > 0.8


def test_a_student_is_distilled_and_answers(
    home: Path, with_teacher: Path, extended: Callable[[str], Run], warm_python: WarmPython
) -> None:
    shutil.copytree(with_teacher, home, dirs_exist_ok=True)
    run = extended("student")
    steps = ["--batch-size", "8", "--epochs", "8", "--variant", "small"]
    run("distil", "--task", "smoke", "--teacher", "tiny", "--student", "cnn", *steps)
    name = "distil_cnn_tiny_smoke.small"
    assert result(home, name)["metrics"]["accuracy"] > 0.7
    model = home / "data/smoke/models" / name
    label = run("predict", str(model), "the film was lovely").split("\t")[0]
    run("export", "--task", "smoke", "--model", name)
    code = f"""
import distillery
from transformers import pipeline
print(pipeline("text-classification", model={str(model)!r})("the film was lovely")[0]["label"])
"""
    done = subprocess.run(
        [warm_python.path, "-c", code],
        env={**os.environ, "PYTHONPATH": str(home / "src")},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{label}\n", done.stderr


def test_a_loss_trains_a_student(
    home: Path, with_teacher: Path, extended: Callable[[str], Run]
) -> None:
    shutil.copytree(with_teacher, home, dirs_exist_ok=True)
    run = extended("loss")
    steps = ["--epochs", "20", "--learning-rate", "2e-2", "--variant", "huber"]
    losses = ["--losses", "huber:1:delta=0.5", *steps]
    run("distil", "--task", "smoke", "--teacher", "tiny", "--student", "bag", *losses)
    found = result(home, "distil_bag_tiny_smoke.huber")
    assert found["recipe"]["phases"][0]["losses"] == [["huber", 1.0, {"delta": 0.5}]]
    assert found["metrics"]["accuracy"] > 0.7


def test_a_baseline_has_a_row(
    home: Path, with_teacher: Path, extended: Callable[[str], Run]
) -> None:
    shutil.copytree(with_teacher, home, dirs_exist_ok=True)
    run = extended("baseline")
    run("baseline", "--task", "smoke", "--baseline", "svm")
    assert result(home, "svm_smoke")["metrics"]["accuracy"] > 0.9
    run("report", "--task", "smoke")
    assert "| TF-IDF + linear SVM |" in (home / "results/local/README.md").read_text()


def test_a_kind_goes_through_all_stages(home: Path, extended: Callable[[str], Run]) -> None:
    run = extended("kind")
    rows = [f'"the film {row} was {"good " * (row % 5)}",{row % 5}' for row in range(240)]
    (home / "likes.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    of_task = ["--task", "likes"]
    run("data", *of_task, "--data", str(home / "likes.csv"), "--kind", "count")
    run("teacher", *of_task, "--teacher", "tiny", *SMALL)
    run("baseline", *of_task, "--baseline", "all")
    run("student", *of_task, "--student", "bigru", *STUDENT)
    run("distil", *of_task, *TINY, "--student", "bigru", *STUDENT)
    run("report", *of_task)
    for name in ("bigru_likes.small", "distil_bigru_tiny.small_likes.small"):
        metrics = result(home, name)["metrics"]
        assert metrics["spearman"] > 0.8
        assert metrics["mse"] < result(home, "mean_likes")["metrics"]["mse"] / 2
    model = home / "data/likes/models/distil_bigru_tiny.small_likes.small"
    few, many = (
        float(run("predict", str(model), f"the film was {words}").split("\t")[0])
        for words in ("", "good good good good")
    )
    assert 0 < few < 2 < many


def test_a_kind_refuses_labels_that_are_not_its_own(
    home: Path, extended: Callable[[str], Run]
) -> None:
    run = extended("kind")
    (home / "likes.csv").write_text("text,label\nthe film,1\nthe plot,2.5\n")
    with pytest.raises(AssertionError, match=r"likes.csv, row 2, has the label 2.5, which is not"):
        run("data", "--task", "likes", "--data", str(home / "likes.csv"), "--kind", "count")
