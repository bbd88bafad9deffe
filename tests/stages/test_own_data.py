"""A user's own file goes through all stages without code, and what is wrong with it is named."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distillery import files, paths, results, tasks
from distillery.cli import main
from distillery.data import store
from distillery.kinds import REGRESSION
from distillery.tasks import smoke

ROWS = [
    {"review": row.text, "stars": ("1", "5")[row.label]}
    for row in smoke.generate()["train"]
    if row.label is not None
]
SMALL = [*("--tokenizer", "tiny", "--max-length", "32", "--epochs", "1", "--variant", "small")]


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            writer = csv.DictWriter(file, fieldnames=[*rows[0]], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_splits(home: Path, suffix: str) -> None:
    path = _write(home / f"reviews.{suffix}", ROWS)
    assert main(["data", "--task", "mine", "--data", str(path)]) == 0
    manifest = store.read_manifest("mine")
    assert manifest["labels"] == ["1", "5"]
    assert manifest["rows"] == {"train": 116, "dev": 12, "test": 32, "unlabeled": 0}
    train = store.read_split("mine", "train")
    stars = {row["review"]: row["stars"] for row in ROWS}
    assert all(
        stars[text] == ("1", "5")[label]
        for text, label in zip(*next(train.chunks(200))[:1], train.labels, strict=True)
    )


def test_all_stages_run_on_own_data(home: Path) -> None:
    path = _write(home / "reviews.csv", [*ROWS, {"review": "the plot was fine", "stars": ""}])
    more = _write(home / "more.csv", [{"review": f"the music was great {n}"} for n in range(40)])
    data = ["--data", str(path), "--unlabeled-data", str(more)]
    assert main(["data", "--task", "mine", *data]) == 0
    assert store.read_manifest("mine")["rows"]["unlabeled"] == 41
    teacher = ["teacher", "--task", "mine", "--teacher", "tiny", "--learning-rate", "5e-3"]
    tuned = ["--epochs", "8", "--max-length", "32", "--batch-size", "16"]
    # The recipe of an own task is the default: another one is a variant, also for the teacher.
    assert main([*teacher, *tuned, "--variant", "small"]) == 0
    distil = ["distil", "--task", "mine", "--teacher", "tiny", "--teacher-variant", "small"]
    assert main([*distil, "--student", "attention", *SMALL]) == 0
    assert main(["student", "--task", "mine", "--student", "bilstm", *SMALL]) == 0
    assert main(["baseline", "--task", "mine", "--baseline", "tfidf"]) == 0
    assert main(["report", "--task", "mine"]) == 0
    names = set(results.read_all(paths.results(local=True)))
    assert names == {
        *("tiny_mine.small", "bilstm_mine.small", "tfidf_mine"),
        "distil_attention_tiny.small_mine.small",
    }


def test_a_pair_of_texts_is_read_trained_on_and_predicted(
    home: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    rows = [
        {"sentence1": row["review"], "sentence2": f"note {number}", "label": row["stars"]}
        for number, row in enumerate(ROWS)
    ]
    path = _write(home / "pairs.csv", rows)
    assert main(["data", "--task", "pairs", "--data", str(path)]) == 0
    assert store.read_split("pairs", "dev").paired
    assert main(["student", "--task", "pairs", "--student", "attention", *SMALL]) == 0
    folder = str(paths.model("pairs", "attention_pairs.small"))
    (home / "lines.txt").write_text("a film\tnote 1\nthe plot\tnote 2\n")
    capsys.readouterr()
    assert main(["predict", folder, "--file", str(home / "lines.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["predict", folder, "a film", "note 1", "the plot", "note 2"]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    pairs = [["a film", "note 1"], ["the plot", "note 2"]]
    assert [line.split("\t")[2:] for line in lines] == pairs
    assert "reads pairs of texts: give an even number, not 1" in refused(
        "predict", folder, "a film"
    )
    (home / "lines.txt").write_text("a film\tnote 1\nthe plot\n")
    assert "line 2: the model reads pairs" in refused(
        "predict", folder, "--file", home / "lines.txt"
    )


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [
        (ROWS[:1], [], "at least two different labels"),
        ([{**row, "stars": "5"} for row in ROWS], [], "at least two different labels"),
        (ROWS, ["--labels", "1,4"], "unknown label in reviews.csv '5': choose from 1, 4"),
        (ROWS, ["--text-column", "body"], "unknown column in reviews.csv (--text-column) 'body'"),
        ([{"a": "x", "b": "y"}], [], "no obvious text column among a, b"),
        ([{"review": "", "stars": "1"}], [], "at least two different labels"),
        (ROWS[:4], [], "too few for train, dev and test"),
    ],
)
def test_wrong_rows_are_refused(
    home: Path,
    refused: Callable[..., str],
    rows: list[dict[str, str]],
    options: list[str],
    expected: str,
) -> None:
    path = _write(home / "reviews.csv", rows)
    assert expected in refused("data", "--task", "mine", "--data", path, *options)
    assert not paths.manifest("mine").exists()


def test_labels_of_test_that_train_does_not_teach_are_refused_unless_declared(
    home: Path, refused: Callable[..., str]
) -> None:
    """Most often they are other names for the same, and a model would get none of them right."""
    path = _write(home / "reviews.csv", ROWS[:120])
    other = [{**row, "stars": f"{row['stars']} stars"} for row in ROWS[120:]]
    test = _write(home / "test.csv", other)
    files = ["--data", str(path), "--test-data", str(test)]
    said = refused("data", "--task", "mine", *files)
    assert "test.csv has the label '1 stars', which no row of reviews.csv has" in said
    assert not paths.manifest("mine").exists()
    assert main(["data", "--task", "mine", *files, "--labels", "1,5,1 stars,5 stars"]) == 0


def test_a_folder_in_place_of_a_file_is_refused(home: Path, refused: Callable[..., str]) -> None:
    said = refused("data", "--task", "mine", "--data", home)
    assert "is a folder: name the file in it" in said


def test_a_name_of_the_project_is_not_taken(home: Path, refused: Callable[..., str]) -> None:
    path = _write(home / "reviews.csv", ROWS)
    assert "give your own data another name" in refused("data", "--task", "imdb", "--data", path)


def test_a_changed_task_makes_everything_run_anew(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Other names for the labels of the same rows are another task."""
    student = ["student", "--task", "mine", "--student", "bilstm", *SMALL]
    for names in (("bad", "good"), ("poor", "rich")):
        rows = [{**row, "stars": names[row["stars"] == "5"]} for row in ROWS]
        path = _write(home / "reviews.csv", rows)
        assert main(["data", "--task", "mine", "--data", str(path)]) == 0
        assert main(student) == 0
        config = json.loads((paths.model("mine", "bilstm_mine.small") / "config.json").read_text())
        assert list(config["label2id"]) == list(names)


def test_unlabeled_rows_need_no_label_column(home: Path) -> None:
    path = _write(home / "reviews.csv", ROWS)
    more = _write(home / "more.csv", [{"review": f"the music was great {n}"} for n in range(9)])
    own = ["--data", str(path), "--unlabeled-data", str(more), "--label-column", "stars"]
    assert main(["data", "--task", "mine", *own]) == 0
    assert store.read_manifest("mine")["rows"]["unlabeled"] == 9


def test_a_task_of_the_project_takes_more_unlabeled_rows(
    home: Path, refused: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert main(["data", "--task", "smoke"]) == 0
    before = store.read_manifest("smoke")
    more = _write(home / "more.csv", [{"review": f"new words {n}", "stars": "3"} for n in range(9)])
    assert main(["data", "--task", "smoke", "--unlabeled-data", str(more)]) == 0
    after = store.read_manifest("smoke")
    assert after["rows"]["unlabeled"] == before["rows"]["unlabeled"] + 9
    assert set(store.read_split("smoke", "unlabeled").labels) == {-1}
    assert {**after["sha256"], "unlabeled": ""} == {**before["sha256"], "unlabeled": ""}

    made = paths.manifest("smoke").stat().st_mtime_ns
    assert main(["data", "--task", "smoke"]) == 0
    assert main(["data", "--task", "smoke", "--unlabeled-data", str(more)]) == 0
    assert paths.manifest("smoke").stat().st_mtime_ns == made, "it was up to date"
    assert caplog.text.count("with the unlabeled rows of more.csv is up to date") == 2
    line = refused("data", "--task", "smoke", "--dev-rows", "9")
    assert "the splits of smoke hold the unlabeled rows of more.csv" in line
    assert paths.manifest("smoke").stat().st_mtime_ns == made
    files.write_json(paths.manifest("smoke"), {**after, "version": after["version"] - 1})
    line = refused("data", "--task", "smoke")  # made by code of before
    assert "the splits of smoke hold the unlabeled rows of more.csv" in line
    _write(more, [{"review": "yet other words"}])
    assert main(["data", "--task", "smoke", "--unlabeled-data", str(more)]) == 0
    assert store.read_manifest("smoke")["rows"]["unlabeled"] == before["rows"]["unlabeled"] + 1
    assert main(["data", "--task", "smoke", "--force"]) == 0
    assert store.read_manifest("smoke")["sha256"] == before["sha256"]

    pairs = _write(home / "pairs.csv", [{"sentence1": "one", "sentence2": "two"}])
    line = refused("data", "--task", "smoke", "--unlabeled-data", pairs)
    assert "pairs.csv has pairs of texts, and smoke has single texts" in line
    odd = _write(home / "odd.csv", [{"comment": "odd words"}])
    assert "--text-column" in refused("data", "--task", "smoke", "--unlabeled-data", odd)
    named = ["--unlabeled-data", str(odd), "--text-column", "comment"]
    assert main(["data", "--task", "smoke", *named]) == 0
    line = refused("data", "--task", "smoke", *named, "--label-column", "comment")
    assert "options of your own data" in line
    listed = home / "listed.jsonl"
    listed.write_text('{"text": "more words", "label": ["x"]}\n')
    assert main(["data", "--task", "smoke", "--unlabeled-data", str(listed)]) == 0
    line = refused("data", "--task", "mine", "--data", listed)
    assert "listed.jsonl, row 1, column 'label': neither text nor number: ['x']" in line
    line = refused("data", "--task", "mine", "--unlabeled-data", more)
    assert "--data FILE" in line
    line = refused("data", "--task", "smoke", "--unlabeled-data", home / "none.csv")
    assert "none.csv does not exist" in line


def test_more_unlabeled_rows_make_no_model_of_labels_anew(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _write(home / "reviews.csv", ROWS)
    data = ["data", "--task", "mine", "--data", str(path)]
    student = ["student", "--task", "mine", "--student", "bilstm", *SMALL]
    baseline = ["baseline", "--task", "mine", "--baseline", "majority"]
    for command in (data, student, baseline):
        assert main(command) == 0
    more = _write(home / "more.csv", [{"review": f"the music was great {n}"} for n in range(9)])
    assert main([*data, "--unlabeled-data", str(more)]) == 0
    caplog.set_level("INFO")
    for command in (student, baseline):
        assert main(command) == 0
    assert caplog.text.count("is up to date") == 2


def _scores(path: Path, rows: int = 120) -> Path:
    """Pairs of texts with a score."""
    found = [
        {"sentence1": f"film {row}", "sentence2": f"plot {row}", "score": f"{row % 11 / 2}"}
        for row in range(rows)
    ]
    return _write(path, found)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_labels_may_be_numbers(home: Path, suffix: str) -> None:
    path = _scores(home / f"scores.{suffix}")
    more = _write(home / "more.csv", [{"sentence1": "a", "sentence2": "b"}])
    data = ["data", "--task", "mine", "--data", str(path), "--kind", "regression"]
    assert main([*data, "--unlabeled-data", str(more)]) == 0
    manifest = store.read_manifest("mine")
    assert (manifest["kind"], manifest["labels"]) == ("regression", ["score"])
    assert manifest["rows"] == {"train": 87, "dev": 9, "test": 24, "unlabeled": 1}
    task = tasks.get("mine")
    assert (task.kind, task.metric, task.local) == (REGRESSION, "spearman", True)
    train = store.read_split("mine", "train")
    assert train.labels.dtype == np.float64
    texts, _ = next(train.chunks(200))
    assert train.labels.tolist() == [int(text.split()[1]) % 11 / 2 for text in texts]
    for name in ("dev", "test"):
        labels = store.read_split("mine", name).labels
        assert manifest["label_summary"][name]["highest"] == labels.max()
        assert labels.min() < 1.5 < 3.5 < labels.max(), "low and high ones in their share"
    assert np.isnan(store.read_split("mine", "unlabeled").labels).all()


def test_the_kind_of_labels_is_part_of_what_is_up_to_date(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    data = ["data", "--task", "mine", "--data", str(_scores(home / "scores.csv"))]
    assert main([*data, "--kind", "regression"]) == 0
    assert "labels of train: 0 to 5, mean 2.5" in caplog.text
    assert main([*data, "--kind", "regression"]) == 0
    assert "data of mine is up to date" in caplog.text
    assert main(data) == 0
    assert tasks.get("mine").labels[:3] == ("0", "0.5", "1"), "classification unless named"


def test_numbers_that_cannot_be_labels_are_refused(home: Path, refused: Callable[..., str]) -> None:
    def line(scores: list[str], *options: object) -> str:
        rows = [{"text": f"text {n}", "score": score} for n, score in enumerate(scores)]
        path = _write(home / "scores.csv", rows)
        return refused("data", "--task", "mine", "--data", path, "--kind", "regression", *options)

    assert "scores.csv, row 2: the label 'high' is not a number from" in line(["1", "high"])
    assert "scores.csv, row 1: the label 'inf' is not a number from" in line(["inf", "1"])
    assert "scores.csv has the label 3 in every row" in line(["3"] * 40)
    assert "--labels is for classification" in line(["1", "2"], "--labels", "1,2")
    said = line([str(int(n == 0)) for n in range(100)])
    assert "dev would have one number only: the labelled rows are 0 to 1, mean 0.01" in said
    assert "--data FILE" in refused("data", "--task", "smoke", "--kind", "regression")
    assert not paths.manifest("mine").exists()


def test_copies_of_texts_with_numbers_have_none(home: Path) -> None:
    data = ["--data", str(_scores(home / "scores.csv")), "--kind", "regression"]
    assert main(["data", "--task", "mine", *data]) == 0
    assert main(["augment", "--task", "mine", "--copies", "2"]) == 0
    copies = store.read_split("mine", paths.AUGMENTED)
    assert len(copies)
    assert np.isnan(copies.labels).all()
