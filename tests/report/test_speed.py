"""The page and the picture of a benchmark, from made-up facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distillery import files
from distillery.report import page, speed

RECIPE = {"max_length": 256, "rounds": 4, "seconds": 0.4, "shape": "bert-base"}


def row(name: str, rate: float, accuracy: float | None, **facts: Any) -> dict[str, Any]:
    timed = [
        {
            **{"batch": batch, "tokenization": tokenization, "rows": 64, "calls": 2},
            **{"throughput": rate / (2 if tokenization else 1), "turns": [rate]},
            **{"latency_median": batch / rate, "latency_p95": 2 * batch / rate},
        }
        for batch in (1, 32)
        for tokenization in (False, True)
    ]
    return {
        **{"name": name, "way": None, "source": None, "accuracy": accuracy, "bytes": 16_700_000},
        **{
            "parameters": 10,
            "max_length": 256,
            "runtime": "PyTorch",
            "precision": "bf16",
            "load_seconds": 0.5,
        },
        **{"peak_memory": 2**29, "memory_before_loading": 2**28, "agreement": 0.999},
        **{"timed": timed, **facts},
    }


@pytest.fixture
def found() -> dict[str, Any]:
    rows = [
        row("bert-base's shape, in batches", 10, None, way="sorted", agreement=None),
        row("bert-base's shape, int8", 30, None, way="int8", agreement=None),
        row("minilm_imdb", 150, 0.926),
        row("bilstm_imdb", 1500, 0.92),
        row("slow_imdb", 100, 0.91),
        row("bag_imdb", 25_000, 0.905, runtime="ONNX Runtime"),
    ]
    rows[1]["timed"] = [timed for timed in rows[1]["timed"] if not timed["tokenization"]]
    best = {"model": "bilstm_imdb", "accuracy": 0.92, "value": 150.0}
    return {
        **{"command": "scripts/distillery bench inference --task imdb", "task": "imdb"},
        "environment": {
            "cpu": "EPYC",
            "threads": 2,
            "device": "cpu",
            "torch": "2",
            "onnxruntime": "1",
        },
        "commit": {"head": "0123456789abcdef", "dirty": False},
        **{"n": 25_000, "rows": rows, "recipe": RECIPE},
        "steps": [{"step": "int8", "before": "a", "after": "b", "times": 3.0}],
        "ratios": {
            "at_91_with_tokenization": best,
            "at_91_without_tokenization": best,
            "at_92_without_tokenization": {"model": None, "accuracy": None, "value": None},
            "smallest_at_90_bytes": {"model": "bag_imdb", "accuracy": 0.905, "value": 1_900_000},
        },
    }


def test_the_page_holds_every_row_and_ratio(found: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "inference.json"
    files.write_json(path, found)
    text = speed.write(path).read_text(encoding="utf-8")
    for each in found["rows"]:
        assert each["name"] in text
    line = next(line for line in text.splitlines() if line.startswith("| `bilstm_imdb` |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:8] == ["92.00", "PyTorch, bf16", "256", "1,500", "150", "750", "150"]
    assert cells[8:10] == ["–", "21.3 / –"]  # of no source; of two calls there is no percentile
    assert "512 (256) MiB" in cells
    assert len(cells) == len(speed.COLUMNS)
    assert "| smallest file at 90.0 or more | `bag_imdb` | 90.50 | 1.9 MB |" in text
    assert "| fastest at 92.0 or more, from word pieces | none | – | – |" in text
    first = path.with_suffix(".png").read_bytes()
    speed.write(path)
    assert path.with_suffix(".png").read_bytes() == first


def test_a_compressed_model_stands_beside_its_source(found: dict[str, Any]) -> None:
    found["rows"].append(row("bilstm_imdb.int8", 750, 0.919, source="bilstm_imdb"))
    found["rows"][-1]["timed"] = [{**timed, "calls": 20} for timed in found["rows"][-1]["timed"]]
    text = speed.markdown(found, "inference.png")
    line = next(line for line in text.splitlines() if line.startswith("| `bilstm_imdb.int8` |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[8:10] == ["0.50", "42.7 / 85.3"]


def test_the_front_is_what_nothing_beats(found: dict[str, Any]) -> None:
    models = [each for each in found["rows"] if each["accuracy"]]
    points = [(each["timed"][2]["throughput"], each["accuracy"], each) for each in models]
    names = [each["name"] for _, _, each in speed.pareto(points)]
    assert names == ["minilm_imdb", "bilstm_imdb", "bag_imdb"]


def test_a_benchmark_joins_the_page_of_its_task(
    found: dict[str, Any], results: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "read_all", lambda _: results)
    path = tmp_path / "benchmarks" / "inference.json"
    where = tmp_path / "results"
    without = page.write(where, benchmarks=path.parent).read_text()
    assert "Inference speed" not in without
    files.write_json(path, found)
    text = page.write(where, benchmarks=path.parent).read_text()
    assert text.startswith(without.rstrip())
    assert "](../benchmarks/inference.md)" in text
    assert "](../benchmarks/inference.png)" in text
    files.write_json(path, {**found, "task": "another"})
    assert page.write(where, benchmarks=path.parent).read_text() == without
