"""Augmentation: a split of its own, seeded, without repeats, that no other result depends on."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from distillery import files, paths, results
from distillery.augmentation import Tagger
from distillery.cli import main
from distillery.data import keys, store
from distillery.tasks import smoke
from tests.conftest import WarmPython
from tests.faults import pipeline

AUGMENT = ["augment", "--task", "smoke"]
RECORD = ["record", "--task", "smoke", "--teacher", "tiny"]
DISTIL = [
    *("distil", "--task", "smoke", "--teacher", "tiny", "--student", "bilstm", "--epochs", "1"),
    *("--splits", "train,unlabeled,augmented", "--variant", "aug"),
]


@pytest.fixture
def splits(home: Path) -> Path:
    """A home with the splits of smoke."""
    assert main(["data", "--task", "smoke"]) == 0
    return home


def rows(task: str = "smoke") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(paths.split(task, paths.AUGMENTED)).to_pylist()
    return found


def checksum() -> str:
    return files.sha256(paths.split("smoke", paths.AUGMENTED))


def own_data(folder: Path, **splits: list[dict[str, str]]) -> None:
    """Makes the task `mine` of rows by role: data, test_data."""
    options = []
    for role, given in splits.items():
        path = folder / f"{role}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in given))
        options += [f"--{role.replace('_', '-')}", str(path)]
    assert main(["data", "--task", "mine", *options]) == 0


def shard_rows() -> list[int]:
    (index,) = paths.data().glob("smoke/outputs/*/index.json")
    return [shard["rows"] for shard in json.loads(index.read_text())["shards"]]


def test_a_copy_has_no_label_and_its_own_id_and_stands_nowhere_else(splits: Path) -> None:
    assert main(AUGMENT) == 0
    found = rows()
    assert list(found[0]) == ["row", "id", "text", "label"]
    assert [row["row"] for row in found] == list(range(len(found)))
    assert {row["label"] for row in found} == {-1}
    assert [row["id"] for row in found] == [keys.example_id(r["text"]) for r in found]
    assert len({row["id"] for row in found}) == len(found)
    split = store.read_split("smoke", paths.AUGMENTED)
    for name in paths.SPLITS:
        assert not np.isin(split.ids, store.read_split("smoke", name).ids).any()
    manifest = store.read_augmented_manifest("smoke")
    assert manifest["rows"] == len(found)
    assert manifest["rows"] + sum(manifest["dropped"].values()) == 2 * 128
    assert manifest["dropped"]["copies also in train"], "some copies are not changed at all"


def test_the_same_seed_gives_the_same_bytes(splits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(AUGMENT) == 0
    first, manifest = checksum(), paths.augmented_manifest("smoke").read_text()
    assert main([*AUGMENT, "--force"]) == 0
    assert (checksum(), paths.augmented_manifest("smoke").read_text()) == (first, manifest)
    ids = [row["id"] for row in rows()]
    monkeypatch.setattr("distillery.stages.augment.CHUNK", 7)
    monkeypatch.setattr("distillery.stages.augment.ROWS", 10)
    assert main([*AUGMENT, "--force"]) == 0
    assert [row["id"] for row in rows()] == ids, "however many are in memory at once"
    assert main([*AUGMENT, "--seed", "1"]) == 0
    assert [row["id"] for row in rows()] != ids


def test_what_is_up_to_date_is_not_made_again(
    splits: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert main(AUGMENT) == 0
    assert "up to date" not in caplog.text
    assert main(AUGMENT) == 0
    assert "augmented split of smoke is up to date" in caplog.text
    content = paths.split("smoke", paths.AUGMENTED).read_bytes()
    paths.split("smoke", paths.AUGMENTED).write_bytes(content[:-1])
    assert main(AUGMENT) == 0
    assert paths.split("smoke", paths.AUGMENTED).read_bytes() == content


def test_a_copy_that_is_a_test_or_dev_text_is_dropped(home: Path) -> None:
    """Of short texts, n-grams soon are."""
    texts = [f"{a} {b} {c}" for a in "abcd" for b in "efgh" for c in "ijkl"]
    short = [f"{a} {b}" for a in "abcd" for b in "efgh"]
    labelled = [[{"text": t, "label": str(n % 2)} for n, t in enumerate(s)] for s in (texts, short)]
    own_data(home, data=labelled[0], test_data=labelled[1])
    assert main(["augment", "--task", "mine", "--p-ngram", "1", "--p-mask", "0"]) == 0
    dropped = store.read_augmented_manifest("mine")["dropped"]
    assert dropped["copies also in test"] > 0
    assert dropped["copies also in dev"] == 0
    found = {row["text"] for row in rows("mine")}
    assert found
    assert not found & {f"{a} {b}" for a in "abcd" for b in "efgh"}


def test_pairs_are_changed_side_by_side_and_lose_their_label(home: Path) -> None:
    pairs = [
        {"sentence1": f"a man eats {n} figs", "sentence2": f"nobody ate {n}", "label": str(n % 3)}
        for n in range(60)
    ]
    own_data(home, data=pairs)
    options = ["--copies", "3", "--p-mask", "0.5", "--p-ngram", "0"]
    assert main(["augment", "--task", "mine", *options]) == 0
    found = rows("mine")
    assert list(found[0]) == ["row", "id", "text", "text_pair", "label"]
    assert {row["label"] for row in found} == {-1}
    changed = {("MASK" in row["text"], "MASK" in row["text_pair"]) for row in found}
    assert changed == {(True, False), (False, True), (True, True)}
    assert store.read_split("mine", paths.AUGMENTED).paired
    for row in found:
        assert row["id"] == keys.example_id(row["text"], row["text_pair"])


def test_unlabeled_texts_are_changed_too_where_asked(splits: Path) -> None:
    assert main([*AUGMENT, "--splits", "train,unlabeled", "--copies", "1"]) == 0
    manifest = store.read_augmented_manifest("smoke")
    assert manifest["rows"] + sum(manifest["dropped"].values()) == 128 + 160


def test_only_new_copies_are_recorded_and_distilled(
    smoke_copy: Path, refused: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert "no augmented rows: run scripts/data/augment.sh smoke" in refused(*DISTIL)
    before = shard_rows()
    assert main([*AUGMENT, "--copies", "1"]) == 0
    assert "has no recorded outputs for" in refused(*DISTIL)
    assert main(RECORD) == 0
    assert shard_rows() == [*before, first := len(rows())]
    assert main([*AUGMENT, "--copies", "2"]) == 0
    assert main(RECORD) == 0
    assert shard_rows() == [*before, first, len(rows()) - first]
    assert main(DISTIL) == 0
    result = results.read(paths.results(local=True) / "distil_bilstm_tiny_smoke.aug.json")
    assert result.inputs["smoke/augmented.parquet"] == checksum()
    assert result.runs[0]["rows"] == 128 + 160 + len(rows())
    # Results that do not train on them stay; those that do are made again.
    caplog.clear()
    assert main([*AUGMENT, "--copies", "3"]) == 0
    assert main(["teacher", "--task", "smoke", "--teacher", "tiny"]) == 0
    assert shard_rows()[:-1] == [*before, first, shard_rows()[len(before) + 1]]
    assert main(["student", "--task", "smoke", "--student", "bilstm"]) == 0
    assert main(["distil", "--task", "smoke", "--teacher", "tiny", "--student", "bilstm"]) == 0
    for name in ("tiny_smoke", "bilstm_smoke", "distil_bilstm_tiny_smoke"):
        assert f"{name} is up to date" in caplog.text
    assert main(DISTIL) == 0
    assert "distil_bilstm_tiny_smoke.aug is up to date" not in caplog.text


def test_labels_alone_cannot_train_on_copies(
    in_smoke_home: Path, refused: Callable[..., str]
) -> None:
    student = ["student", "--task", "smoke", "--student", "bilstm", "--variant", "x"]
    said = refused(*student, "--splits", "train,augmented")
    assert "augmented rows need a teacher" in said
    said = refused(*DISTIL, "--losses", "labels,mse", "--splits", "augmented,test")
    assert "unknown split 'test': choose from train, unlabeled, augmented" in said


def test_new_splits_make_the_copies_stale_in_one_line(
    smoke_copy: Path, refused: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    stale = "the augmented rows of smoke were made from other splits: run scripts/data/augment.sh"
    data = ["data", "--task", "smoke", "--force"]
    assert main(AUGMENT) == 0
    assert main(data) == 0
    assert stale not in caplog.text, "the same splits again"
    before = shard_rows()
    assert main([*data, "--dev-rows", "40"]) == 0
    assert caplog.text.count(stale) == 1
    assert stale in refused(*DISTIL)
    caplog.clear()
    assert main(RECORD) == 0
    assert caplog.text.count(stale) == 1
    assert shard_rows() == before, "and are not recorded"
    assert main(AUGMENT) == 0
    assert store.augmented_fault("smoke") is None
    assert main(RECORD) == 0
    assert shard_rows() != before


def test_changed_copies_are_refused(splits: Path, refused: Callable[..., str]) -> None:
    assert main(AUGMENT) == 0
    path = paths.split("smoke", paths.AUGMENTED)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Exception, match=r"augmented\.parquet is not the file of its manifest"):
        store.read_split("smoke", paths.AUGMENTED)
    path.unlink()
    with pytest.raises(Exception, match=r"augmented\.parquet is missing: run augmentation again"):
        store.read_split("smoke", paths.AUGMENTED)


def test_killed_it_leaves_the_old_copies_and_makes_the_new_ones(
    splits: Path, warm_python: WarmPython
) -> None:
    assert main(AUGMENT) == 0
    old = checksum()
    many = [*AUGMENT, "--copies", "150"]
    writing = ("pyarrow.parquet:ParquetWriter.write_table", 2)
    process = pipeline.start_and_pause(warm_python, splits, writing, *many)
    assert paths.split("smoke", paths.AUGMENTED).with_name("augmented.parquet.partial").exists()
    pipeline.kill(process, signal.SIGKILL)
    assert store.read_split("smoke", paths.AUGMENTED).sha256 == old
    assert main(many) == 0
    new = checksum()
    assert main([*many, "--force"]) == 0
    assert checksum() == new != old


def test_words_are_replaced_by_words_of_their_kind(splits: Path, tagger_data: None) -> None:
    assert main([*AUGMENT, "--p-pos", "1", "--p-mask", "0", "--p-ngram", "0"]) == 0
    adjectives = {word for words in smoke._OPINIONS for word in words}
    changed = 0
    for row in rows():
        _, subject, _, opinion, *_ = row["text"].replace(",", "").split()
        assert subject in smoke._SUBJECTS
        assert opinion in adjectives
        changed += opinion not in next(o for o in smoke._OPINIONS if opinion in o)[:1]
    assert changed
    assert store.read_augmented_manifest("smoke")["tagger"]


def test_words_are_tagged_once(
    splits: Path, tagger_data: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagging = [*AUGMENT, "--p-pos", "0.2"]
    assert main(tagging) == 0
    first = checksum()
    with monkeypatch.context() as once:

        def never(*_: object) -> list[int]:
            raise AssertionError("tagged again")

        once.setattr(Tagger, "tag", never)
        assert main([*tagging, "--force"]) == 0
        assert main([*tagging, "--seed", "1"]) == 0
    (kept,) = paths.data().glob("smoke/tags/*/*.npy")
    for damaged in (b"", kept.read_bytes()[:-1], b"x" * 200):
        kept.write_bytes(damaged)
        assert main([*tagging, "--force"]) == 0
        assert checksum() == first


def test_missing_tagger_is_said_and_nothing_is_written(
    splits: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nltk.data.path", [])
    said = refused(*AUGMENT, "--p-pos", "0.1")
    assert "fetch it with ./download_requirements.sh --nltk" in said
    assert not paths.augmented_manifest("smoke").exists()
