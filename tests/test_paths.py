"""Names: composed in one place, and never leading out of their folder."""

from pathlib import Path

import pytest

from distillery import paths
from distillery.errors import UserError


def test_data_and_results_are_where_the_environment_says(home: Path) -> None:
    assert paths.data() == home / "data"
    assert paths.results(local=False) == home / "results"
    assert paths.results(local=True) == home / "results" / "local"


@pytest.mark.parametrize("value", [None, ""])
def test_data_and_results_are_the_projects_own_otherwise(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    for name in ("DISTILLERY_DATA", "DISTILLERY_RESULTS"):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert paths.data() == (paths.ROOT / "data").resolve()
    assert paths.results(local=False) == (paths.ROOT / "results").resolve()
    assert (paths.ROOT / "pyproject.toml").is_file()


@pytest.mark.parametrize("name", ["a", "imdb", "my-reviews_2", "0", 64 * "a"])
def test_plain_name_is_let_through(name: str) -> None:
    assert paths.checked_name("task", name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "../a",
        "/a",
        "a.b",
        "A",
        "a b",
        "-a",
        "_a",
        "a\n",
        "é",
        "a\0",
        65 * "a",
    ],
)
def test_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot be a file's name"):
        paths.checked_name("task", name)


def test_result_names_are_those_users_know() -> None:
    assert paths.teacher_result("imdb", "bert") == "bert_imdb"
    assert paths.student_result("imdb", "attention") == "attention_imdb"
    assert paths.distillation_result("imdb", "bigru2", "minilm") == "distil_bigru2_minilm_imdb"
    assert paths.teacher_result("imdb", "bert", "long") == "bert_imdb.long"
    assert paths.student_result("imdb", "bilstm", "wide") == "bilstm_imdb.wide"
    assert paths.distillation_result("imdb", "bilstm", "bert") == "distil_bilstm_bert_imdb"
    both = paths.distillation_result("imdb", "bilstm", "bert", "long", "t4")
    assert both == "distil_bilstm_bert.long_imdb.t4"


def test_compressed_results_are_called_after_their_source() -> None:
    smaller = paths.compressed("distil_bilstm_bert_imdb", "pruned")
    assert smaller == "distil_bilstm_bert_imdb.pruned"
    assert paths.compressed(smaller, "int8", "int4") == "distil_bilstm_bert_imdb.pruned.int8.int4"
    for source in ("", "../x", "a..b", "a/b"):
        with pytest.raises(UserError, match="cannot be a file's name"):
            paths.compressed(source, "onnx")
    assert paths.command("export", {"task": "imdb", "model": "minilm_imdb"}) == (
        "scripts/compression/export_minilm_imdb.sh"
    )


def test_variant_must_be_a_plain_name() -> None:
    with pytest.raises(UserError, match=r"variant '\.\./x'"):
        paths.student_result("imdb", "bilstm", "../x")


@pytest.mark.parametrize("step", ["onnx", "int8", "pruned"])
def test_variant_must_not_look_like_a_step_of_stage_5(step: str) -> None:
    with pytest.raises(UserError, match=f"variant '{step}' would take the name of a step"):
        paths.student_result("imdb", "bilstm", step)


def test_files_of_a_task_lie_in_its_folder(home: Path) -> None:
    folder = home / "data" / "films"
    found = [
        paths.manifest("films"),
        paths.split("films", "dev"),
        paths.encoded("films", "k"),
        paths.outputs("films", "f"),
        paths.run("films", "bilstm_films", "hash", 1),
        paths.run("films", "bilstm_films", "hash", 2),
        paths.run("films", "bilstm_films", "other", 1),
        paths.model("films", "bilstm_films"),
    ]
    assert len(set(found)) == len(found)
    assert all(path.is_relative_to(folder) for path in found)
    assert paths.lock("films").parent == home / "data" / "locks"


def test_command_is_the_script_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/distillery").touch()
    names = {"task": "imdb", "student": "bilstm", "teacher": "bert"}
    assert paths.command("distil", names) == (
        "scripts/distillery distil --task imdb --student bilstm --teacher bert"
    )
    script = tmp_path / "scripts/distillation/bilstm_bert_imdb.sh"
    script.parent.mkdir()
    script.touch()
    assert paths.command("distil", names) == "scripts/distillation/bilstm_bert_imdb.sh"


def test_an_installed_package_uses_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISTILLERY_DATA", "DISTILLERY_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(paths, "ROOT", tmp_path / "lib/python3.11")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert paths.data() == tmp_path / "here/data"
    assert paths.results(local=True) == tmp_path / "here/results/local"
    assert paths.benchmarks(local=False) == tmp_path / "here/benchmarks"
    assert paths.command("teacher", {"task": "imdb"}) == "distillery teacher --task imdb"
    assert paths.script_or("scripts/run_all.sh a --to 1", "data --task a") == (
        "distillery data --task a"
    )


def test_command_can_be_pasted_into_a_shell() -> None:
    names = {"task": "my task", "teacher": "a;b"}
    assert paths.command("teacher", names) == (
        "scripts/distillery teacher --task 'my task' --teacher 'a;b'"
    )
