"""The figures that are quoted, from made-up rows."""

from typing import Any

import pytest

from distillery.bench.inference import WAYS
from distillery.bench.ratios import STEPS, ratios, steps


def row(
    name: str, plain: float, texts: float | None = None, way: str | None = None, **facts: Any
) -> dict[str, Any]:
    timed = [{"batch": 1, "tokenization": False, "throughput": 1.0}]
    timed.append({"batch": 32, "tokenization": False, "throughput": plain})
    if texts:
        timed.append({"batch": 32, "tokenization": True, "throughput": texts})
    given = {"score": None, "source": None, "bytes": 1, "runtime": "PyTorch"}
    given["stage"] = "distillation"
    return {"name": name, "way": way, "timed": timed, "precision": "fp32", **given, **facts}


SCORES = (0.91, 0.92)
ROWS = [
    *(row(way, speed, 8.0, way) for way, speed in [("padded", 5), ("dynamic", 8), ("sorted", 10)]),
    row("bf16", 40, way="bf16", precision="bf16"),
    row("lean", 11, way="lean"),
    row("onnx", 22, way="onnx", runtime="ONNX Runtime"),
    row("int8", 66, way="int8", runtime="ONNX Runtime", precision="int8"),
    row("bag", 20_000, 4_000, score=0.905, bytes=900),
    row("bilstm", 800, 700, score=0.921, bytes=16_000, precision="bf16"),
    row("bilstm.pruned", 1600, 1200, score=0.92, bytes=8_000, source="bilstm"),
    row("bilstm.pruned.int8", 2000, 1000, score=0.91, bytes=2_000, source="bilstm.pruned"),
]


def test_ratios_are_of_the_fastest_that_are_accurate_enough() -> None:
    found = ratios(ROWS, (0.9, *SCORES))
    assert len(found) == 9
    expected = {
        "at_91_with_tokenization": {"model": "bilstm.pruned", "score": 0.92, "value": 150.0},
        "at_91_without_tokenization": {
            **{"model": "bilstm.pruned.int8", "score": 0.91, "value": 200.0}
        },
        "at_92_without_tokenization": {"model": "bilstm.pruned", "score": 0.92, "value": 160.0},
        "smallest_at_90_bytes": {"model": "bag", "score": 0.905, "value": 900},
    }
    assert expected.items() <= found.items()


def test_where_no_model_is_accurate_enough_there_is_no_value() -> None:
    nothing = {"model": None, "score": None, "value": None}
    rows = [*ROWS[:7], row("weak", 9, 9, score=0.8)]
    assert ratios(rows, SCORES) == dict.fromkeys(ratios(ROWS, SCORES), nothing)
    assert ratios(rows, ()) == {}


def test_steps_split_the_speed_up() -> None:
    told = steps(ROWS, SCORES)
    found = {step["step"]: (step["before"], step["after"], step["times"]) for step in told}
    assert len(told) == len(found)
    assert found["int8"] == ("onnx", "int8", 3.0)
    assert found["batches of like length"] == ("dynamic", "sorted", 1.25)
    assert found["in its place, distilled from a teacher, bilstm"] == ("bf16", "bilstm", 20.0)
    assert found["compressing that to bilstm.pruned"] == ("bilstm", "bilstm.pruned", 2.0)
    assert found["compressing that to bilstm.pruned.int8"][2] == pytest.approx(2.5)
    assert len(found) == len(STEPS) + 3


def test_a_teacher_is_not_distilled() -> None:
    (last,) = steps([*ROWS[:7], row("minilm", 70, 60, score=0.93, stage="teacher")], SCORES)[
        len(STEPS) :
    ]
    assert last["step"] == "in its place, trained on labels, minilm"
    assert last["times"] == 7.0


def test_a_model_of_a_source_that_was_not_timed_has_no_step() -> None:
    rows = [r for r in ROWS if r["name"] != "bilstm"]
    assert len(steps(rows, SCORES)) == len(STEPS)


def test_every_step_is_between_ways_that_are_run() -> None:
    assert {way for _, *ways in STEPS for way in ways} == set(WAYS)
