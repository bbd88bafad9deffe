"""What is quoted of a run of `bench inference`: ratios, and what each step buys."""

from collections.abc import Sequence
from typing import Any

from distillery.report.speed import BASELINE, baseline, throughput

Row = dict[str, Any]

STEPS = (  # what changes, and the ways of the shape before and after it
    ("padding to the batch's longest, not to the maximum", "padded", "dynamic"),
    ("batches of like length", "dynamic", "sorted"),
    ("bf16", "sorted", "bf16"),
    ("computing what its logits need", "sorted", "lean"),
    ("ONNX Runtime", "lean", "onnx"),
    ("int8", "onnx", "int8"),
)


def _good(rows: Sequence[Row], score: float) -> list[Row]:
    return [row for row in rows if row["score"] is not None and row["score"] >= score]


def _fastest(rows: Sequence[Row], score: float, tokenization: bool) -> Row | None:
    good = _good(rows, score)
    return max(good, key=lambda row: throughput(row, tokenization)) if good else None


def _quoted(row: Row | None, value: float | None) -> dict[str, Any]:
    return {
        "model": row["name"] if row else None,
        "score": row["score"] if row else None,
        "value": value,
    }


def ratios(rows: Sequence[Row], scores: Sequence[float]) -> dict[str, dict[str, Any]]:
    """For each score the fastest models that reach it, in multiples of the baseline's throughput,
    and the smallest file (bytes). Values are None if no model reaches it."""
    found = {}
    for score in scores:
        percent = f"{100 * score:g}"
        for how, tokenization in (("with", True), ("without", False)):
            row = _fastest(rows, score, tokenization)
            base = throughput(baseline(rows), tokenization)
            times = throughput(row, tokenization) / base if row else None
            found[f"at_{percent}_{how}_tokenization"] = _quoted(row, times)
        small = min(_good(rows, score), key=lambda row: int(row["bytes"]), default=None)
        found[f"smallest_at_{percent}_bytes"] = _quoted(small, small["bytes"] if small else None)
    return found


def _origin(rows: Sequence[Row], row: Row) -> Row | None:
    """The student that a compressed model was made of; None if it was not timed."""
    by_name = {other["name"]: other for other in rows}
    found: Row | None = row
    while found and found["source"]:
        found = by_name.get(found["source"])
    return found


def steps(rows: Sequence[Row], scores: Sequence[float]) -> list[dict[str, Any]]:
    """By how much each step alone speeds up what stands before it, without tokenization.

    After the shape's own: from the shape to the student that the fastest model of each score was
    made of, in the same library and precision, and from that student to the model.
    """
    ways = {row["way"]: row for row in rows if row["way"]}
    pairs = [
        (title, ways[before], ways[after])
        for title, before, after in STEPS
        if {before, after} <= ways.keys()
    ]
    fastest = [_fastest(rows, score, False) for score in scores]
    explained: set[str] = set()
    for row in (row for row in rows if row in fastest):
        student = _origin(rows, row)
        if student is None:
            continue
        how = (student["runtime"], student["precision"])
        alike = [ways[way] for way in ("bf16", BASELINE, "onnx", "int8") if way in ways]
        alike = [shape for shape in alike if (shape["runtime"], shape["precision"]) == how]
        if alike and student["name"] not in explained:
            explained.add(student["name"])
            distilled = student["stage"] == "distillation"
            learned = "distilled from a teacher" if distilled else "trained on labels"
            pairs.append((f"in its place, {learned}, {student['name']}", alike[0], student))
        if row is not student:
            pairs.append((f"compressing that to {row['name']}", student, row))
    return [
        {
            "step": title,
            "before": before["name"],
            "after": after["name"],
            "times": throughput(after, False) / throughput(before, False),
        }
        for title, before, after in pairs
    ]
