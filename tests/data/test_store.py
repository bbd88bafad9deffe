"""Splits on disk: read back as written, and never read when they are not their manifest's."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery import files, paths
from distillery.data import splits, store
from distillery.data.task import Example, Task
from distillery.errors import UserError
from distillery.recipes import DataRecipe
from tests.splitting import make, spooled

TASK = Task(name="films", labels=("bad", "good"), local=True)
RECIPE = DataRecipe(dev_rows=4)


def written(pair: str | None = None) -> dict[str, Any]:
    train = [Example(n, f"text {n} ça", pair, n % 2) for n in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        raw = spooled({"train": train}, RECIPE, Path(folder))
        made, dropped = splits.make(raw, RECIPE, TASK)
        about = {"source": {"sha256": "abc"}, "dropped": dropped}
        return store.write(TASK, made, about, RECIPE)


def test_split_is_read_back_as_written(home: Path) -> None:
    manifest = written()
    split = store.read_split("films", "dev")
    made, _ = make({"train": [Example(n, f"text {n} ça", None, n % 2) for n in range(20)]}, RECIPE)
    chunks = list(split.chunks(3))
    assert [len(texts) for texts, _ in chunks] == [3, 1]
    assert [text for texts, _ in chunks for text in texts] == [row.text for row in made["dev"]]
    assert split.ids.dtype == np.uint64
    assert [f"{value:016x}" for value in split.ids.tolist()] == [row.id for row in made["dev"]]
    assert split.labels.tolist() == [row.label for row in made["dev"]]
    assert chunks[0][1] is None
    assert not split.paired
    assert split.sha256 == manifest["sha256"]["dev"]
    assert len(split) == 4


def test_pairs_are_read_back(home: Path) -> None:
    written(pair="and this")
    split = store.read_split("films", "dev")
    assert split.paired
    ((_, pairs),) = split.chunks(10)
    assert pairs == ["and this"] * 4


def test_empty_split_is_read_back(home: Path) -> None:
    written()
    split = store.read_split("films", "unlabeled")
    assert len(split) == 0
    assert split.ids.dtype == np.uint64
    assert split.labels.dtype == np.int64


def test_manifest_says_what_was_made(home: Path) -> None:
    manifest = written()
    assert store.read_manifest("films") == manifest
    assert manifest["rows"] == {"train": 12, "dev": 4, "test": 4, "unlabeled": 0}
    assert manifest["label_summary"]["test"] == {"bad": 2, "good": 2}
    assert manifest["labels"] == ["bad", "good"]
    for name, checksum in manifest["sha256"].items():
        assert files.sha256(paths.split("films", name)) == checksum


def test_the_same_rows_give_the_same_files(home: Path) -> None:
    assert written()["sha256"] == written()["sha256"]


def test_missing_splits_say_what_to_run(home: Path) -> None:
    with pytest.raises(UserError, match=r"run scripts/run_all\.sh films --to 1"):
        store.read_manifest("films")


def test_manifest_is_gone_while_splits_are_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written()

    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "sha256", killed)
    with pytest.raises(KeyboardInterrupt):
        written()
    assert not paths.manifest("films").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 0, "labels": [], "sha256": {}, "rows": {}}']
)
def test_damaged_manifest_is_refused_by_name(home: Path, text: str) -> None:
    written()
    paths.manifest("films").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        store.read_manifest("films")
    assert not store.is_current("films", RECIPE, {})


def test_changed_or_missing_split_is_refused(home: Path) -> None:
    written()
    path = paths.split("films", "dev")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"dev\.parquet is not the file of its manifest"):
        store.read_split("films", "dev")
    path.unlink()
    with pytest.raises(UserError, match=r"dev\.parquet is missing"):
        store.read_split("films", "dev")


def test_splits_are_current_only_with_recipe_source_and_files(home: Path) -> None:
    assert not store.is_current("films", RECIPE, {})
    written()
    assert store.is_current("films", RECIPE, {})
    assert store.is_current("films", RECIPE, {"sha256": "abc"})
    assert not store.is_current("films", RECIPE, {"sha256": "abd"})
    assert not store.is_current("films", DataRecipe(dev_rows=5), {})
    paths.split("films", "unlabeled").unlink()
    assert not store.is_current("films", RECIPE, {})
