"""Results: written whole, checked when read, current only when nothing has changed."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from distillery import files, paths, results
from distillery.errors import UserError
from distillery.results import Result

RUN = {"seed": 1, "metrics": {"accuracy": 0.9, "macro_f1": 0.5}, "seconds": 1.0, "rows": 9}
RUNS: list[Any] = [RUN, {**RUN, "seed": 2, "metrics": {"accuracy": 0.8, "macro_f1": 0.5}}]
PREDICTIONS = b"\x78"


def result(**fields: Any) -> Result:
    facts = {
        "name": "bilstm_films",
        "stage": "student",
        "task": "films",
        "student": "bilstm",
        "n": 3,
        "metrics": results.mean_metrics(RUNS),
        "runs": RUNS,
        "recipe": {"epochs": 1},
        "stage_version": 1,
        "inputs": {"train": "abc"},
        "outputs": {},
        "commit": {"head": None, "dirty": None},
        "environment": {"python": "3.11"},
        "parameters": 10,
        "bytes": 40,
        "command": "scripts/student/bilstm_films.sh",
        "predictions": hashlib.sha256(PREDICTIONS).hexdigest(),
    }
    return Result(**{**facts, **fields})


def write(folder: Path, **fields: Any) -> Result:
    written = result(**fields)
    results.write(folder, written, PREDICTIONS)
    return written


def test_result_is_read_back(tmp_path: Path) -> None:
    written = write(tmp_path)
    assert results.read(tmp_path / "bilstm_films.json") == written
    assert results.read_all(tmp_path) == {"bilstm_films": written}


def test_changed_predictions_are_found(tmp_path: Path) -> None:
    write(tmp_path)
    bits = results.predictions_path(tmp_path, "bilstm_films")
    bits.write_bytes(bytes([bits.read_bytes()[0] ^ 1]))
    with pytest.raises(UserError, match=r"bilstm_films\.bits is damaged: delete .*\.json and run"):
        results.read(tmp_path / "bilstm_films.json")


def test_text_file_begins_with_the_score(tmp_path: Path) -> None:
    write(tmp_path)
    first, *others = (tmp_path / "bilstm_films.txt").read_text().splitlines()
    assert first == "accuracy 0.8500"
    assert any("seed 1 0.9000, seed 2 0.8000" in line for line in others)
    assert any("scripts/student/bilstm_films.sh" in line for line in others)


def test_text_file_says_where_the_weights_started(tmp_path: Path) -> None:
    runs = [{**run, "start": "teacher layers 2,4"} for run in RUNS]
    write(tmp_path, runs=runs)
    assert "\nstarted from teacher layers 2,4\n" in (tmp_path / "bilstm_films.txt").read_text()


def test_text_file_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    replacing = files.replacing

    def seen(path: Path) -> Any:
        order.append(path.name)
        return replacing(path)

    monkeypatch.setattr(files, "replacing", seen)
    write(tmp_path)
    assert order == ["bilstm_films.bits", "bilstm_films.json", "bilstm_films.txt"]


def test_a_compressed_model_names_its_source(tmp_path: Path) -> None:
    source: Any = {"name": "bilstm_films", "metrics": RUN["metrics"], "bytes": 400}
    fields = {"name": "bilstm_films.int8", "stage": "compression", "source": source}
    written = write(tmp_path, **fields)
    assert results.read(tmp_path / "bilstm_films.int8.json") == written
    text = (tmp_path / "bilstm_films.int8.txt").read_text()
    assert "\nmade of bilstm_films: accuracy 0.9000, bytes 400\n" in text


def test_a_result_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Without the fields that came since, and with one that has gone."""
    write(tmp_path)
    path = tmp_path / "bilstm_films.json"
    late = ("kind", "subset", "unlabeled_data", "checksum")
    kept = {key: value for key, value in files.read_json(path).items() if key not in late}
    files.write_json(path, {**kept, "recipe_hash": "abc"})
    assert results.read(path) == result()


def test_mean_is_over_the_runs() -> None:
    assert result().metrics == {"accuracy": pytest.approx(0.85), "macro_f1": 0.5}


LABELS = results.Labels("classification", ("bad", "fair", "good"), 4, b"\x18", "abc")


def test_true_labels_are_read_back(tmp_path: Path) -> None:
    assert results.read_labels(tmp_path, "films") is None
    results.write_labels(tmp_path, "films", LABELS)
    assert results.read_labels(tmp_path, "films") == LABELS
    assert results.read_all(tmp_path) == {}, "they are no result"


@pytest.mark.parametrize(
    "change",
    [
        {"bits": "é"},
        {"bits": None},
        {"n": 0, "bits": ""},
        {"n": "four"},
        {"labels": 3},
    ],
)
def test_damaged_labels_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    results.write_labels(tmp_path, "films", LABELS)
    path = results.labels_path(tmp_path, "films")
    files.write_json(path, files.read_json(path) | change)
    with pytest.raises(UserError, match=r"films\.labels\.json is damaged"):
        results.read_labels(tmp_path, "films")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": {}}, "it has no metrics"),
        ({"metrics": [0.9]}, r"metrics is \[0.9\], not an object"),
        ({"runs": []}, "it has no runs"),
        ({"environment": None}, "environment is null, not an object"),
        ({"runs": [{"seed": 1}]}, r"it has no runs\.0\.metrics"),
        ({"runs": [3]}, r"runs\.0 is 3, not an object"),
        ({"runs": [RUN | {"seconds": "1"}]}, r'runs\.0\.seconds is "1", not a number'),
        ({"runs": [RUN | {"metrics": {"f": 0.5}}]}, "a run, or the source, lacks a metric"),
        ({"runs": [RUN | {"ece": True}]}, r"runs\.0\.ece is true, not a number"),
        ({"metrics": {"accuracy": float("nan")}}, r"metrics\.accuracy is NaN, not a number"),
        ({"n": -1}, "n is -1, not a count"),
        ({"bytes": 10**400}, "bytes is 10+, not a count"),
        ({"stage": "distillation"}, "stage distillation needs a teacher"),
        ({"stage": "compression"}, "stage compression needs a source"),
        ({"commit": {"head": 7, "dirty": None}}, r"commit\.head is 7, not text"),
        ({"subset": 3}, "subset is 3, not an object"),
        ({"subset": {"train": None}}, r"subset\.train is null, not a list"),
        ({"subset": {"train": [1, "2"]}}, r'subset\.train\.1 is "2", not a count'),
        ({"source": {"name": "x", "bytes": 3}}, r"it has no source\.metrics"),
        ({"name": "another"}, "another name, 'another'"),
    ],
)
def test_wrong_result_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "bilstm_films.json"
    files.write_json(path, vars(result()) | change)
    with pytest.raises(UserError, match=said):
        results.read(path)


@pytest.mark.parametrize("name", sorted(results.REQUIRED))
def test_missing_field_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bilstm_films.json"
    files.write_json(path, {key: value for key, value in vars(result()).items() if key != name})
    with pytest.raises(UserError, match=f"it has no {name}$"):
        results.read(path)


def test_result_is_current_until_anything_changes(home: Path) -> None:
    output = paths.model("films", "bilstm_films") / "model.safetensors"
    files.write_text(output, "weights")
    relative = output.relative_to(paths.data()).as_posix()
    folder = paths.results(local=True)
    write(folder, outputs={relative: files.sha256(output)})
    wanted = {"recipe": {"epochs": 1}, "stage_version": 1, "inputs": {"train": "abc"}}

    def current(seeds: tuple[int, ...] = (1, 2), **change: Any) -> bool:
        return results.is_current(folder, "bilstm_films", wanted | change, list(seeds))

    assert current()
    assert not current(recipe={"epochs": 2})
    assert not current(stage_version=2)
    assert not current(inputs={"train": "abd"})
    assert current(seeds=(1,))  # fewer seeds are in it too
    assert not current(seeds=(2, 1))
    assert not current(seeds=(1, 2, 3))
    files.write_text(output, "Weights")
    assert not current()
    output.unlink()
    assert not current()


def test_result_without_its_predictions_or_damaged_is_not_current(home: Path) -> None:
    folder = paths.results(local=True)
    assert not results.is_current(folder, "bilstm_films", {}, [1, 2])
    write(folder)
    assert results.is_current(folder, "bilstm_films", {}, [1, 2])
    results.predictions_path(folder, "bilstm_films").unlink()
    assert not results.is_current(folder, "bilstm_films", {}, [1, 2])
    write(folder)
    (folder / "bilstm_films.json").write_text("{")
    assert not results.is_current(folder, "bilstm_films", {}, [1, 2])


@pytest.mark.parametrize(("said", "dirty"), [("abc", False), ("abc-dirty", True)])
def test_commit_can_be_told_where_there_is_no_repository(
    said: str, dirty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLERY_COMMIT", said)
    assert results.commit() == {"head": "abc", "dirty": dirty}


def test_commit_outside_a_repository_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert results.commit() == {"head": None, "dirty": None}
