"""The loaders of the project's tasks on the official downloads, where they are at hand."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from distillery import paths, tasks
from distillery.cli import main
from distillery.data import keys, sources, store
from distillery.data.task import Task

SHARED = paths.ROOT.parent / "shared" / "data"
TASKS = [task for task in map(tasks.get, tasks.names()) if task.hub]
TABLES = [task.name for task in TASKS if task.name != "imdb"]
# Where the data at hand are a part: rows and official rows.
SUBSETS = {
    "mnli": {"train": [32114, 392702]},
    "yelp5": {"train": [11981, 650000], "test": [3000, 50000]},
}
# After what leaks or repeats was dropped from train.
ROWS = {
    "sst2": {"train": 51307, "dev": 872, "test": 872},
    "mnli": {"train": 29614, "dev": 2500, "test": 9815},
    "yelp5": {"train": 10780, "dev": 1197, "test": 3000},
    "rte": {"train": 2239, "dev": 248, "test": 277},
    "mrpc": {"train": 3294, "dev": 366, "test": 408},
    "cola": {"train": 7630, "dev": 847, "test": 1043},
    "stsb": {"train": 5120, "dev": 569, "test": 1500},
}


def _folder(name: str) -> Path:
    folder = SHARED / tasks.get(name).top_folder
    if not folder.is_dir():
        pytest.skip(f"no download of {name} in {folder}")
    return folder


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_says_all_that_stages_need(task: Task) -> None:
    assert task.metric in task.kind.metrics
    assert task.metric != "f1" or len(task.labels) == 2
    assert task.hub is not None
    assert len(task.hub.revision) == 40
    assert set(task.hub.splits) == set(task.counts)
    assert {len(task.counts[split]) for split in ("train", "test")} == {len(task.labels)}


@pytest.mark.parametrize("name", TABLES)
def test_the_splits_are_whole_and_nothing_leaks(name: str, home: Path) -> None:
    source = ["--source", str(_folder(name))]
    options = ["--subset"] if name in SUBSETS else []
    assert main(["data", "--task", name, *source, *options]) == 0
    manifest = store.read_manifest(name)
    assert {split: n for split, n in manifest["rows"].items() if n} == ROWS[name]
    assert manifest["subset"] == SUBSETS.get(name, {})
    assert store.subset(name) == SUBSETS.get(name)
    assert _checksums(name) == CHECKSUMS[name]
    ids: dict[str, set[str]] = {}
    for split in ("train", "dev", "test"):
        found = store.read_split(name, split)
        assert found.paired == (tasks.get(name).hub.text_pair is not None)  # type: ignore[union-attr]
        texts, pairs = next(found.chunks(10**6))
        assert not any("\\n" in text for text in texts)
        both = [(*pair,) for pair in zip(texts, pairs, strict=True)] if pairs else texts
        ids[split] = {keys.letters(*((one,) if isinstance(one, str) else one)) for one in both}
        if pairs and split != "train":
            ids[split] |= {keys.letters(second, first) for first, second in both}
    assert not ids["train"] & ids["test"]
    assert not ids["dev"] & ids["test"]
    assert not ids["train"] & ids["dev"]


# Of "row, text, (second text,) label" as JSON lines, in order: the rows of the committed results.
CHECKSUMS = {
    "imdb": {
        "train": "b7b6da36871afe71",
        "dev": "a527989e4c41474c",
        "test": "0231467fb4257c49",
        "unlabeled": "1664159d32dc6885",
    },
    "mnli": {"train": "9ace7462a92d3d53", "dev": "ebd937167916089e", "test": "06346add75518ac7"},
    "yelp5": {"train": "47e0cafda2fef53f", "dev": "e60ca0462eafde4e", "test": "c45bc3b48ab7e9e9"},
    "sst2": {"train": "18d9f22fcc37bd94", "dev": "c47273655d05b9ba", "test": "fd240c2782f4972f"},
    "rte": {"train": "915e1fb7a885ad43", "dev": "458e89423fb3aa21", "test": "b2417b5e579f0e79"},
    "mrpc": {"train": "42be7d63e0c1f9a2", "dev": "1ee83a59f0fff7ec", "test": "41ae7b04b90a63a7"},
    "cola": {"train": "5e109f32cae5a379", "dev": "2ea008fd9279e1ff", "test": "efb377172ca483ad"},
    "stsb": {"train": "c34a4e536c31a425", "dev": "b8326134b91acddd", "test": "457412edece2cdb7"},
}


def _checksums(name: str) -> dict[str, str]:
    found = {}
    for split in paths.SPLITS:
        table = pq.read_table(paths.split(name, split))
        names = [
            column
            for column in ("row", "text", "text_pair", "label")
            if column in table.column_names
        ]
        digest = hashlib.sha256()
        for row in zip(*(table[column].to_pylist() for column in names), strict=True):
            digest.update((json.dumps(row, ensure_ascii=False) + "\n").encode())
        if len(table):
            found[split] = digest.hexdigest()[:16]
    return found


@pytest.mark.parametrize("name", SUBSETS)
def test_a_part_is_taken_only_where_that_is_said(
    name: str, home: Path, refused: Callable[..., str]
) -> None:
    said = refused("data", "--task", name, "--source", _folder(name))
    assert f"train of {name} is not the official one" in said
    assert "--subset takes a part as it is" in said
    assert not paths.manifest(name).exists()


def test_a_table_cut_short_is_refused_even_as_a_part(
    home: Path, refused: Callable[..., str]
) -> None:
    content = (_folder("mnli") / "train.tsv").read_bytes()
    cut = home / "MNLI"
    cut.mkdir()
    (cut / "dev_matched.tsv").write_bytes((_folder("mnli") / "dev_matched.tsv").read_bytes())
    (cut / "train.tsv").write_bytes(content[: len(content) // 2])
    said = refused("data", "--task", "mnli", "--source", cut, "--subset")
    assert "train.tsv: row" in said


def test_the_rows_of_imdb_and_its_leaks_stay(home: Path) -> None:
    archive = SHARED / "aclImdb_v1.tar.gz"
    if not archive.is_file():
        pytest.skip(f"no download of imdb in {archive}")
    assert main(["data", "--task", "imdb", "--source", str(archive)]) == 0
    assert _checksums("imdb") == CHECKSUMS["imdb"]
    dropped = store.read_manifest("imdb")["dropped"]
    assert [count for count in dropped.values() if count] == [99, 123, 497, 264, 354]


def test_hub_and_download_of_yelp_are_unescaped_alike() -> None:
    task = tasks.get("yelp5")
    assert task.unescape is not None
    assert task.unescape('so \\"good\\"\\n\\nreally') == 'so "good"\n\nreally'
    rows, _ = sources.read(task, _folder("yelp5"))
    assert not any("\\n" in row.text or '\\"' in row.text for row in rows["train"])


def test_every_pair_of_stsb_is_read_whatever_its_quotes() -> None:
    task = tasks.get("stsb")
    rows, _ = sources.read(task, _folder("stsb"))
    assert sources.check(task, rows) == {}
    assert {split: len(found) for split, found in rows.items()} == {"train": 5749, "test": 1500}
    for split, found in rows.items():
        labels = [row.label for row in found if row.label is not None]
        assert (len(labels), min(labels), max(labels)) == (len(found), 0, 5)
        odd = [text for row in found for text in row[1:3] if str(text).count('"') % 2]
        assert odd, f"{split} has cells with a quote that is never closed"
