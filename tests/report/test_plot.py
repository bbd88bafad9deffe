"""The picture, from made-up results."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from distillery.report import plot
from distillery.report.plot import Column, columns, spread
from distillery.report.rows import of_task, rows


def test_a_png_and_the_same_bytes_again(results, tmp_path):
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    plot.scores(of_task(results, "imdb"), first)
    plot.scores(of_task(dict(reversed(results.items())), "imdb"), second)
    data = first.read_bytes()
    assert data == second.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (1200, 750)
    assert b"Software" not in data


@pytest.mark.parametrize(
    "names",
    [
        ["minilm_imdb"],
        ["attention_imdb"],
        ["distil_attention_minilm_imdb"],
        ["tfidf_imdb", "majority_imdb"],
        ["majority_imdb"],
    ],
)
def test_whatever_there_is_can_be_drawn(results, tmp_path, names):
    path = tmp_path / "imdb.png"
    plot.scores([results[name] for name in names], path)
    assert path.stat().st_size > 10_000


def test_every_student_stands_at_its_parameters(results):
    def drawn(**parameters: int | None) -> list[Column]:
        names = {"single": "attention_imdb", "distilled": "distil_attention_minilm_imdb"}
        changed = {
            names[key]: replace(results[names[key]], parameters=value)
            for key, value in parameters.items()
        }
        return columns(rows(of_task(results | changed, "imdb")), "accuracy")

    (column,) = drawn(single=1_000_000, distilled=10_000_000)
    assert column.name == "attention"
    assert column.points == {
        None: pytest.approx((6.0, 89.5)),
        "minilm": pytest.approx((7.0, 90.8)),
    }
    (column,) = drawn(single=None, distilled=10_000_000)
    assert [*column.points] == ["minilm"]
    assert drawn(single=None, distilled=None) == []


def test_columns_move_apart_evenly_and_no_further():
    def moved(*xs: float) -> list[float]:
        students = [Column(str(x), {None: (x, 90.0)}) for x in xs]
        spread(students, 0.5)
        return [column.x + column.shift for column in students]

    assert moved(1.0, 1.0, 1.1, 3.0) == pytest.approx([0.5333, 1.0333, 1.5333, 3.0], abs=1e-4)
    assert moved(1.0, 2.0) == [1.0, 2.0]
    assert moved() == []
