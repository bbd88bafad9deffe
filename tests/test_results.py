"""Results: written whole, checked when read, current only when nothing has changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery import files, paths, results
from distillery.errors import UserError

RUN = {"seed": 1, "metrics": {"accuracy": 0.9, "macro_f1": 0.5}, "seconds": 1.0, "rows": 9}
PREDICTIONS = np.array([[0, 1, 1], [1, 1, 0]])


def result(**fields: Any) -> dict[str, Any]:
    runs = [
        {"seed": seed, "metrics": {"accuracy": value, "macro_f1": 0.5}, "seconds": 1.0, "rows": 9}
        for seed, value in ((1, 0.9), (2, 0.8))
    ]
    found = {
        **dict.fromkeys(results.FIELDS),
        "name": "bilstm_films",
        "stage": "student",
        "task": "films",
        "student": "bilstm",
        "split": "test",
        "n": 3,
        "metrics": results.mean_metrics(runs),
        "runs": runs,
        "recipe": {"epochs": 1},
        "recipe_hash": None,
        "stage_version": 1,
        "inputs": {"train": "abc"},
        "outputs": {},
        "commit": {"head": None, "dirty": None},
        "environment": {"python": "3.11"},
        "parameters": 10,
        "bytes": 40,
        "command": "scripts/student/bilstm_films.sh",
        **fields,
    }
    return {name: found[name] for name in results.FIELDS}


def write(folder: Path, **fields: Any) -> dict[str, Any]:
    written = result(**fields)
    results.write(folder, written, PREDICTIONS, labels=2)
    return written


def test_result_is_read_back(tmp_path: Path) -> None:
    written = write(tmp_path)
    checksum = files.sha256(results.predictions_path(tmp_path, "bilstm_films"))
    written["predictions"] = checksum
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
    runs = [{**run, "start": "teacher layers 2,4"} for run in result()["runs"]]
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


def test_result_with_a_field_too_few_or_too_many_is_not_written(tmp_path: Path) -> None:
    for wrong in ({**result(), "extra": 1}, {"name": "bilstm_films"}):
        with pytest.raises(AssertionError):
            results.write(tmp_path, wrong, PREDICTIONS, labels=2)
    assert list(tmp_path.iterdir()) == []


def test_mean_is_over_the_runs() -> None:
    assert result()["metrics"] == {"accuracy": pytest.approx(0.85), "macro_f1": 0.5}


@settings(deadline=None)
@given(data=st.data(), labels=st.integers(1, 9), runs=st.integers(1, 3), n=st.integers(1, 20))
def test_predictions_are_unpacked_as_packed(
    data: st.DataObject, labels: int, runs: int, n: int
) -> None:
    values = st.lists(st.integers(0, labels - 1), min_size=runs * n, max_size=runs * n)
    predictions = np.array(data.draw(values), dtype=np.int64).reshape(runs, n)
    packed = results.pack(predictions, labels)
    width = max(1, (labels - 1).bit_length())
    assert len(packed) == -(-runs * n * width // 8)
    assert np.array_equal(results.unpack(packed, runs, n, labels), predictions)


def test_two_labels_take_a_bit_each() -> None:
    # 0 1 1 1 1 0 and two bits of padding
    assert results.pack(PREDICTIONS, 2) == bytes([0b01111000])


@pytest.mark.parametrize("packed", [b"", b"\x78\x00"])
def test_predictions_of_another_length_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="bytes cannot be 2 x 3 predictions"):
        results.unpack(packed, runs=2, n=3, labels=2)


LABELS = results.Labels(("bad", "fair", "good"), np.array([0, 2, 1, 2]), "abc")


def test_true_labels_are_read_back(tmp_path: Path) -> None:
    assert results.read_labels(tmp_path, "films") is None
    results.write_labels(tmp_path, "films", LABELS)
    found = results.read_labels(tmp_path, "films")
    assert found is not None
    assert (found.names, found.sha256) == (LABELS.names, LABELS.sha256)
    assert np.array_equal(found.values, LABELS.values)
    assert results.read_all(tmp_path) == {}, "they are no result"


@pytest.mark.parametrize(
    "change",
    [
        {"bits": "é"},
        {"bits": ""},
        {"bits": None},
        {"bits": "/w=="},  # label 3 of 3
        {"n": 0, "bits": ""},
        {"n": 99},
        {"n": "four"},
        {"labels": 3},
        {"labels": ["one"] * 17},
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
        ({"metrics": {}}, "'metrics' is of the wrong kind"),
        ({"metrics": [0.9]}, "'metrics' is of the wrong kind"),
        ({"runs": []}, "'runs' is of the wrong kind"),
        ({"environment": None}, "'environment' is of the wrong kind"),
        ({"runs": [{"seed": 1}]}, "a run lacks metrics"),
        ({"runs": [3]}, "'runs' is of the wrong kind"),
        ({"runs": [RUN | {"seconds": "1"}]}, "a run lacks seconds, or a right one"),
        ({"runs": [RUN | {"metrics": {"f": 0.5}}]}, "a run lacks a metric"),
        ({"runs": [RUN | {"epochs": "3"}]}, "a run has the epochs '3'"),
        ({"metrics": {"accuracy": float("nan")}}, "'metrics' is of the wrong kind"),
        ({"bytes": 10**400}, "'bytes' is of the wrong kind"),
        ({"stage": "distillation"}, "'teacher' is empty"),
        ({"commit": {"head": 7, "dirty": None}}, "'commit' is of the wrong kind"),
        ({"subset": 3}, "'subset' is of the wrong kind"),
        ({"subset": {"train": []}}, "'subset' is of the wrong kind"),
        ({"subset": {"train": None}}, "'subset' is of the wrong kind"),
        ({"subset": {"train": [1, "2"]}}, "'subset' is of the wrong kind"),
        ({"name": "another"}, "another name: 'another'"),
    ],
)
def test_wrong_result_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "bilstm_films.json"
    files.write_json(path, result() | change)
    with pytest.raises(UserError, match=said):
        results.read(path)


@pytest.mark.parametrize("name", [n for n in results.FIELDS if n not in results.MISSING_ALLOWED])
def test_missing_field_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bilstm_films.json"
    files.write_json(path, {key: value for key, value in result().items() if key != name})
    with pytest.raises(UserError, match=f"has no field '{name}'"):
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
