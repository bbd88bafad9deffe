"""The picture, from made-up results."""

from __future__ import annotations

import struct

import pytest

from distillery.report.plot import Column, _columns, _sides, _spread, _y_limits, plot


def test_a_png_and_the_same_bytes_again(results, tmp_path):
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    plot(results, "imdb", first)
    plot(dict(reversed(results.items())), "imdb", second)
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
    plot({name: results[name] for name in names}, "imdb", path)
    assert path.stat().st_size > 10_000


def test_every_model_stands_at_its_parameters(results, tmp_path):
    before = Column("a", "k", 0.0, None, {})
    assert before.shift == 0
    single, distilled = results["attention_imdb"], results["distil_attention_minilm_imdb"]
    single["parameters"], distilled["parameters"] = 1_000_000, 10_000_000
    (column,) = _columns(list(results.values()), "accuracy", ["minilm"])
    assert (column.x, column.shift) == (pytest.approx(1.0), pytest.approx(-1.0))
    single["parameters"] = None
    (column,) = _columns(list(results.values()), "accuracy", ["minilm"])
    assert (column.x, column.shift) == (pytest.approx(1.0), 0.0)
    distilled["parameters"] = None
    assert _columns(list(results.values()), "accuracy", ["minilm"]) == []


def columns(*xs: float) -> list[Column]:
    return [Column(str(x), "k", x, 90.0, {}) for x in xs]


def test_columns_move_apart_evenly_and_no_further():
    near = columns(1.0, 1.0, 1.1, 3.0)
    assert _spread(near, 0.5)
    assert [column.x for column in near] == pytest.approx([0.5333, 1.0333, 1.5333, 3.0], abs=1e-4)
    far = columns(1.0, 2.0)
    assert not _spread(far, 0.5)
    assert [column.x for column in far] == [1.0, 2.0]


def test_names_stand_upright_only_where_crowded():
    assert _sides(columns(), 1.0) == []
    assert _sides(columns(1.0), 1.0) == ["right"]
    assert _sides(columns(1.0, 1.1), 1.0) == ["left", "right"]
    assert _sides(columns(1.0, 1.1, 1.2), 1.0) == ["top"] * 3


def test_the_majority_class_does_not_squash_the_axis():
    low, high = _y_limits([90.0, 92.0], [93.0], {"tfidf": 89.0, "majority": 50.0}, False)
    assert 88 < low < 89
    assert 93 < high < 94
    low, _ = _y_limits([60.0, 62.0], [70.0], {"majority": 58.0}, False)
    assert low < 58
