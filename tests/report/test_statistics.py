"""What predictions say, and the table of it, from made-up results of ten rows."""

from __future__ import annotations

import numpy as np
import pytest

from distillery import results as stored
from distillery.errors import UserError
from distillery.kinds import CLASSIFICATION
from distillery.report import statistics
from distillery.report.statistics import Evidence


@pytest.fixture
def found(predict):
    """A teacher with 1 error of 10, a single student with 6, its distilled self with 0 and 1."""
    bilstm = {"student": "bilstm"}
    return {
        **predict("minilm_films", "teacher", [0], teacher="minilm"),
        **predict("majority_films", "baseline", [0, 1, 2, 3, 4], baseline="majority"),
        **predict("bilstm_films", "student", [0, 1, 2, 3, 4, 5], **bilstm),
        **predict(
            "distil_bilstm_minilm_films", "distillation", [], [0], **bilstm, teacher="minilm"
        ),
    }


@pytest.fixture
def table(found, tmp_path):
    """The cells of the statistics' table by model."""

    def cells() -> dict[str, list[str]]:
        text = statistics.markdown([*found.values()], Evidence(tmp_path, "films"))
        rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
        return {row[0]: row[1:] for row in rows}

    return cells


def test_table(found, table):
    for run, ece in zip(found["distil_bilstm_minilm_films"].runs, (0.02, 0.04), strict=True):
        run["ece"] = ece
    cells = table()
    assert [*cells] == ["model", ":---", "`minilm` (teacher)", "majority class", "`bilstm`"]
    assert cells["`minilm` (teacher)"] == ["–", "–", "–", "–", "–", "1"]
    assert cells["majority class"] == ["–", "–", "–", "60.00", "–", "1"]
    gain, interval, p, agreement, ece, seeds = cells["`bilstm`"]
    assert gain == "+55.00"
    low, high = map(float, interval.split(" to "))
    assert 15 <= low <= 35
    assert 75 <= high <= 95
    assert p == "0.031"  # 2 / 2^6
    assert agreement == "50.00 / 95.00"
    assert ece == "– / 3.00"
    assert seeds == "1 / 2"


def test_the_legend_says_how(found, tmp_path):
    text = statistics.markdown([*found.values()], Evidence(tmp_path, "films"))
    assert text.startswith("### Statistics, teacher `minilm`\n")
    assert "paired bootstrap over the test rows (10,000 resamples" in text


def test_models_that_were_not_run_are_left_out_or_named(found, table):
    del found["bilstm_films"], found["minilm_films"]
    cells = table()
    assert cells["`bilstm`"][:3] == ["not run"] * 3
    assert cells["`bilstm`"][3:] == ["not run / not run", "not run / –", "not run / 2"]
    assert "`attention`" not in cells


def test_nothing_to_say_without_students(found, tmp_path):
    only = {"minilm_films": found["minilm_films"]}
    assert statistics.markdown([*only.values()], Evidence(tmp_path, "films")) == ""


@pytest.mark.parametrize("lost", ["labels", "predictions", "split", "inputs"])
def test_without_what_it_needs_a_figure_is_not_run(found, table, tmp_path, lost):
    if lost == "labels":
        stored.labels_path(tmp_path, "films").unlink()
    if lost == "predictions":
        stored.predictions_path(tmp_path, "bilstm_films").unlink()
    if lost == "split":
        found["bilstm_films"].inputs["films/test.parquet"] = "abd"
    if lost == "inputs":
        found["bilstm_films"].inputs.clear()
    gain, interval, p, agreement, *_ = table()["`bilstm`"]
    assert (gain, interval, p) == ("+55.00", "not run", "not run")
    assert agreement == ("not run / not run" if lost == "labels" else "not run / 95.00")


@pytest.mark.parametrize("change", ["truncated", "longer", "another"])
def test_damaged_predictions_are_refused(table, tmp_path, change):
    path = stored.predictions_path(tmp_path, "bilstm_films")
    packed = path.read_bytes()
    path.write_bytes({"truncated": packed[:1], "longer": packed + b"x", "another": b"\0\0"}[change])
    with pytest.raises(UserError, match=r"bilstm_films\.bits is damaged: delete it and run"):
        table()


def test_labels_that_do_not_exist_are_refused(found, tmp_path):
    names = ("a", "b", "c")
    packed = CLASSIFICATION.pack(np.array([[0, 1, 2] * 3 + [0]]), names)
    labels = stored.Labels("classification", names, 10, packed, "abc")
    stored.write_labels(tmp_path, "films", labels)
    stored.predictions_path(tmp_path, "minilm_films").write_bytes(b"\xff\xff\xf0")
    evidence = Evidence(tmp_path, "films")
    with pytest.raises(UserError, match=r"minilm_films\.bits is damaged"):
        evidence.agreement(found["minilm_films"], found["minilm_films"])


def test_p_is_of_the_first_seeds_and_the_interval_of_all(predict, tmp_path):
    evidence = Evidence(tmp_path, "films")
    before = predict("a_films", "student", [0, 1, 2, 3], [0])["a_films"]
    first = predict("b_films", "student", [0, 1, 2, 3], [])["b_films"]
    compared = evidence.compare(before, first, "accuracy")
    assert compared.p == 1
    low, high = compared.interval
    assert 0 <= low < high
