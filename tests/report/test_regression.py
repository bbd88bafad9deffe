"""The report of a task whose labels are numbers, from made-up results of 200 rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distillery import results as stored
from distillery.evaluation import correlation
from distillery.kinds import REGRESSION
from distillery.report import page, plot, statistics, table
from distillery.report.rows import of_task
from distillery.report.statistics import Evidence
from distillery.results import Result

METRICS = ("spearman", "pearson", "mse")
NOISE = {  # name -> stage, its fields, and how far predictions are off, per seed
    "minilm_pairs": ("teacher", {"teacher": "minilm", "parameters": 22_700_000}, [0.3]),
    "mean_pairs": ("baseline", {"baseline": "mean", "parameters": 0}, [None]),
    "ridge_pairs": ("baseline", {"baseline": "ridge", "parameters": 5_000}, [2.5]),
    "bigru_pairs": ("student", {"student": "bigru", "parameters": 4_000_000}, [1.5, 1.7]),
    "distil_bigru_minilm_pairs": (
        "distillation",
        {"student": "bigru", "teacher": "minilm", "parameters": 4_000_000},
        [0.6, 0.7],
    ),
}


def make(folder: Path, main: str = "spearman") -> list[Result]:
    """Writes labels and predictions into `folder`, and gives the results."""
    generator = np.random.default_rng(0)
    true = generator.uniform(0, 5, 200).round(1)
    packed = REGRESSION.pack(true[None, :], ("score",))
    stored.write_labels(
        folder, "pairs", stored.Labels("regression", ("score",), 200, packed, "abc")
    )
    for name, (stage, fields, noise) in NOISE.items():
        predictions = np.stack(
            [
                np.full(200, true.mean())
                if one is None
                else true + one * generator.normal(size=200)
                for one in noise
            ]
        )
        names = dict.fromkeys([main, *METRICS])
        runs = [
            {
                "seed": seed,
                "metrics": {n: correlation.METRICS[n](true, predicted) for n in names},
                "seconds": 60.0,
                "rows": 1000,
            }
            for seed, predicted in enumerate(predictions)
        ]
        result = Result(
            **{"name": name, "stage": stage, "task": "pairs", "kind": "regression", "n": 200},
            **{"metrics": stored.mean_metrics(runs), "runs": runs, "recipe": {}, **fields},
            **{"stage_version": 1, "inputs": {"pairs/test.parquet": "abc"}, "outputs": {}},
            **{"commit": {"head": "0123456789", "dirty": False}, "environment": {}},
        )
        stored.write(folder, result, REGRESSION.pack(predictions, ("score",)))
    return of_task(stored.read_all(folder), "pairs")


def cells(text: str) -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows}


def test_correlations_are_shown_times_100(tmp_path: Path) -> None:
    found = make(tmp_path)
    text = table.markdown(found)
    assert text.startswith("### Teacher `minilm`: spearman / pearson (x 100) on 200 test rows\n")
    lines = cells(text)
    assert [*lines][2:] == [
        "`minilm` (teacher)",
        "mean of train",
        "TF-IDF + ridge regression",
        "`bigru`",
    ]
    teacher = next(result for result in found if result.stage == "teacher").metrics
    expected = f"{100 * teacher['spearman']:.2f} / {100 * teacher['pearson']:.2f}"
    assert lines["`minilm` (teacher)"][0] == expected
    assert lines["mean of train"][0] == "0.00 / 0.00"
    single, distilled, gain, *_ = lines["`bigru`"]
    before, after = (float(score.split(" ± ")[0]) for score in (single, distilled))
    assert 50 < before < after < 100
    assert float(gain) == pytest.approx(after - before, abs=0.011)


def test_statistics_have_no_p_and_no_calibration(tmp_path: Path) -> None:
    lines = cells(statistics.markdown(make(tmp_path), Evidence(tmp_path, "pairs")))
    gain, interval, p, agreement, ece, seeds = lines["`bigru`"]
    low, high = map(float, interval.split(" to "))
    assert 0 < low < float(gain) < high
    assert (p, ece, seeds) == ("–", "– / –", "2 / 2")
    one, two = map(float, agreement.split(" / "))
    assert 50 < one < two < 100
    assert lines["mean of train"][3] == "0.00"


def test_a_lower_error_is_a_negative_change(tmp_path: Path) -> None:
    found = make(tmp_path, main="mse")
    text = table.markdown(found)
    assert text.startswith("### Teacher `minilm`: mse / pearson on 200 test rows\n")
    errors = {result.name: result.metrics["mse"] for result in found}
    before, after = errors["bigru_pairs"], errors["distil_bigru_minilm_pairs"]
    single, _, gain, *_ = cells(text)["`bigru`"]
    assert single.startswith(f"{before:.4f} ± ")
    assert gain == f"{after - before:.4f}"
    lines = cells(statistics.markdown(found, Evidence(tmp_path, "pairs")))
    low, high = map(float, lines["`bigru`"][1].split(" to "))
    assert low < float(gain) < high < 0


def test_page_and_picture(tmp_path: Path) -> None:
    found = make(tmp_path)
    text = page.write(tmp_path).read_text(encoding="utf-8")
    assert "### Statistics, teacher `minilm`" in text
    first = (tmp_path / "pairs.png").read_bytes()
    plot.scores(found, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == first
