"""The loaders of the project's tasks on the official downloads, where they are at hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery import paths, tasks
from distillery.cli import main
from distillery.evaluation import metrics
from distillery.preprocessing import keys, sources, store
from distillery.preprocessing.task import Task

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
}


def _folder(name: str) -> Path:
    folder = SHARED / tasks.get(name).top_folder
    if not folder.is_dir():
        pytest.skip(f"no download of {name} in {folder}")
    return folder


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_says_all_that_stages_need(task: Task) -> None:
    assert task.metric in metrics.METRICS
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
    ids: dict[str, set[str]] = {}
    for split in ("train", "dev", "test"):
        found = store.read_split(name, split)
        assert found.paired == (tasks.get(name).hub.text_pair is not None)  # type: ignore[union-attr]
        texts, pairs = next(found.chunks(10**6))
        assert not any("\\n" in text for text in texts)
        both = [(*pair,) for pair in zip(texts, pairs, strict=True)] if pairs else texts
        ids[split] = {keys.key(*((one,) if isinstance(one, str) else one)) for one in both}
        if pairs and split != "train":
            ids[split] |= {keys.key(second, first) for first, second in both}
    assert not ids["train"] & ids["test"]
    assert not ids["dev"] & ids["test"]
    assert not ids["train"] & ids["dev"]


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


def test_hub_and_download_of_yelp_are_unescaped_alike() -> None:
    task = tasks.get("yelp5")
    assert task.unescape is not None
    assert task.unescape('so \\"good\\"\\n\\nreally') == 'so "good"\n\nreally'
    rows, _ = sources.read(task, _folder("yelp5"))
    assert not any("\\n" in row.text or '\\"' in row.text for row in rows["train"])
