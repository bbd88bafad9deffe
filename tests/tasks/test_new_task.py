"""A task is a file: with it every stage runs, whatever its labels, texts and metric."""

import random
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery import paths, results, tasks
from distillery.cli import main
from distillery.data import store
from distillery.tasks import smoke

FILE = '''\
"""Opinions: what does the second text say of the first one's film?"""

from distillery.data import tables
from distillery.data.task import Task

LABELS = ("bad", "fair", "good")

TASK = Task(
    name="opinions",
    labels=LABELS,
    metric="matthews",
    parse=tables.parser(
        {"train.tsv": "train", "dev.tsv": "test"}, LABELS, text="film", text_pair="opinion"
    ),
    counts={"train": (90, 90, 120), "test": (20, 20, 20)},
    local=True,
)
'''
OF_THE_HUB = '''\
"""Claims: does the evidence bear them out?"""

from distillery.data.task import Hub, Task

TASK = Task(
    name="claims",
    labels=("refuted", "supported"),
    metric="f1",
    hub=Hub(
        id="nobody/claims",
        revision="main",
        splits={"train": "train", "test": "validation"},
        text="claim",
        text_pair="evidence",
    ),
    local=True,
)
'''
WORDS = {"bad": ("awful", "boring", "weak"), "fair": ("then",), "good": ("great", "lovely", "fine")}
VARIANT = [*("--variant", "small", "--max-length", "32", "--learning-rate", "5e-3")]
STUDENT = [*VARIANT, "--tokenizer", "tiny", "--embedding-size", "16", "--hidden-size", "32"]
PRUNE = ["--epochs", "1", "--variant", "short"]
DISTIL = ["distil", "--teacher", "tiny", "--teacher-variant", "small"]


def _table(path: Path, counts: dict[str, int], seed: int) -> None:
    chance = random.Random(seed)
    lines = ["film\topinion\tlabel"]
    for label, count in counts.items():
        for row in range(count):
            filler = " ".join(chance.choices(smoke.WORDS[-12:], k=5))
            words = (f"the plot {filler} {row} {seed}", f"it was {chance.choice(WORDS[label])}")
            lines.append("\t".join([*words, label]))
    path.write_text("\n".join(lines) + "\n")


def test_a_new_file_of_at_most_30_lines_makes_all_stages_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(FILE.splitlines()) <= 30
    (home / "opinions.py").write_text(FILE)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(home)])
    _table(home / "train.tsv", {"bad": 90, "fair": 90, "good": 120}, seed=0)
    _table(home / "dev.tsv", dict.fromkeys(WORDS, 20), seed=1)
    for stage in (
        ["data", "--source", str(home)],
        ["teacher", "--teacher", "tiny", "--epochs", "8", *VARIANT],
        ["baseline", "--baseline", "majority"],
        ["baseline", "--baseline", "tfidf"],
        ["student", "--student", "bigru", "--epochs", "3", *STUDENT],
        [*DISTIL, "--student", "bigru", "--epochs", "3", *STUDENT],
        [*DISTIL, "--student", "attention", "--epochs", "3", *STUDENT],
        ["export", "--model", "distil_bigru_tiny.small_opinions.small"],
        ["quantize", "--model", "distil_bigru_tiny.small_opinions.small"],
        ["prune", "--model", "distil_bigru_tiny.small_opinions.small", *PRUNE],
        ["report"],
    ):
        assert main([*stage, "--task", "opinions"]) == 0, stage
    assert store.read_manifest("opinions")["rows"]["test"] == 60
    folder = paths.results(local=True)
    found = results.read_all(folder)
    distilled = "distil_bigru_tiny.small_opinions.small"
    assert set(found) == {
        *("tiny_opinions.small", "majority_opinions", "tfidf_opinions", "bigru_opinions.small"),
        *(distilled, "distil_attention_tiny.small_opinions.small"),
        *(f"{distilled}.onnx", f"{distilled}.int8", f"{distilled}.pruned.short"),
    }
    for name, result in found.items():
        first = (folder / f"{name}.txt").read_text().splitlines()[0]
        assert first == f"matthews {result.metrics['matthews']:.4f}"
        assert list(result.metrics) == ["matthews", "accuracy", "macro_f1"]
    assert found["majority_opinions"].metrics["matthews"] == 0
    for name in ("tfidf_opinions", "tiny_opinions.small", "distil_bigru_tiny.small_opinions.small"):
        assert found[name].metrics["matthews"] > 0.8, name
    assert "matthews / accuracy (%) on 60 test rows" in (folder / "README.md").read_text()
    assert (folder / "opinions.png").is_file()
    model = paths.model("opinions", "distil_bigru_tiny.small_opinions.small")
    capsys.readouterr()
    assert main(["predict", str(model), "the plot", "it was lovely"]) == 0
    assert capsys.readouterr().out.startswith("good\t")


def _fetched(folder: Path, split: str, count: int) -> None:
    """Rows of `claims` as the hub has them."""
    rows = []
    for row in range(count):
        label = row % 2
        evidence = f"it was {WORDS[('bad', 'good')[label]][row % 3]}"
        rows.append({"claim": f"film {row} of {split}", "evidence": evidence, "label": label})
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")


def test_a_task_of_the_hub_alone_runs_from_what_was_fetched(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the stages that pairs and students of BERT's shape make longer."""
    assert len(OF_THE_HUB.splitlines()) <= 30
    (home / "claims.py").write_text(OF_THE_HUB)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(home)])
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "cache")
    for split, count in (("train", 120), ("validation", 20)):
        _fetched(paths.hub_download("claims", "main"), split, count)
    phases = [f"--phase{number}-{option}" for number in (1, 2) for option in ("splits", "epochs")]
    values = ["train,augmented", "1"] * 2
    for stage in (
        ["data"],
        ["augment", "--copies", "2"],
        ["teacher", "--teacher", "tiny", "--epochs", "8", *VARIANT],
        [*DISTIL, "--student", "bert_tiny", "--variant", "short", "--max-length", "32"]
        + [word for option in zip(phases, values, strict=True) for word in option],
        ["report"],
    ):
        assert main([*stage, "--task", "claims"]) == 0, stage
    found = results.read_all(paths.results(local=True))
    distilled = found["distil_bert_tiny_tiny.small_claims.short"]
    assert distilled.runs[0]["start"] == "PCA of the teacher's embeddings"
    assert distilled.runs[0]["rows"] > 108, "train and its copies"
    for result in found.values():
        assert list(result.metrics) == ["f1", "accuracy", "macro_f1"]
    assert found["tiny_claims.small"].metrics["f1"] > 0.9
