"""What is quoted of a run of `bench inference`: ratios, and what each step buys."""

from collections.abc import Sequence
from typing import Any

from distillery.report.timed import BASELINE, baseline, throughput

Rows = Sequence[dict[str, Any]]

STEPS = (  # what changes, and the ways of the shape before and after it
    ("padding to the batch's longest, not to the maximum", "padded", "dynamic"),
    ("batches of like length", "dynamic", "sorted"),
    ("bf16", "sorted", "bf16"),
    ("computing what its logits need", "sorted", "lean"),
    ("ONNX Runtime", "lean", "onnx"),
    ("int8", "onnx", "int8"),
)


def _fastest(rows: Rows, accuracy: float, tokenization: bool) -> dict[str, Any]:
    good = [row for row in rows if (row["accuracy"] or 0) >= accuracy]
    if not good:
        return {"model": None, "accuracy": None, "value": None}
    best = max(good, key=lambda row: throughput(row, tokenization))
    value = throughput(best, tokenization) / throughput(baseline(rows), tokenization)
    return {"model": best["name"], "accuracy": best["accuracy"], "value": value}


def _smallest(rows: Rows, accuracy: float) -> dict[str, Any]:
    good = [row for row in rows if (row["accuracy"] or 0) >= accuracy]
    if not good:
        return {"model": None, "accuracy": None, "value": None}
    best = min(good, key=lambda row: int(row["bytes"]))
    return {"model": best["name"], "accuracy": best["accuracy"], "value": best["bytes"]}


def ratios(rows: Rows) -> dict[str, dict[str, Any]]:
    """The fastest models of a given accuracy, in multiples of the baseline's throughput, and the
    smallest file (bytes). Values are None where no model is as accurate."""
    return {
        "at_91_with_tokenization": _fastest(rows, 0.91, True),
        "at_91_without_tokenization": _fastest(rows, 0.91, False),
        "at_92_without_tokenization": _fastest(rows, 0.92, False),
        "smallest_at_90_bytes": _smallest(rows, 0.90),
    }


def _origin(rows: Rows, row: dict[str, Any]) -> dict[str, Any] | None:
    """The student that a compressed model was made of; None where it was not timed."""
    while row["source"]:
        source = next((other for other in rows if other["name"] == row["source"]), None)
        if source is None:
            return None
        row = source
    return row


def steps(rows: Rows) -> list[dict[str, Any]]:
    """By how much each step alone speeds up what stands before it, without tokenization.

    After the shape's own: from the shape to the student that the fastest model of 91 and of 92 %
    was made of, in the same library and precision, and from that student to the model.
    """
    ways = {row["way"]: row for row in rows if row["way"]}
    pairs = [
        (title, ways[before], ways[after])
        for title, before, after in STEPS
        if {before, after} <= ways.keys()
    ]
    found = ratios(rows)
    names = [found[f"at_{least}_without_tokenization"]["model"] for least in (91, 92)]
    explained: set[str] = set()
    for row in (row for row in rows if row["name"] in names):
        student = _origin(rows, row)
        if student is None:
            continue
        alike = next(
            (
                ways[way]
                for way in ("bf16", BASELINE, "onnx", "int8")
                if way in ways
                and (ways[way]["runtime"], ways[way]["precision"])
                == (student["runtime"], student["precision"])
            ),
            None,
        )
        if alike and student["name"] not in explained:
            explained.add(student["name"])
            distilled = student["stage"] == "distillation"
            how = (
                f"in its place, {'distilled from a teacher' if distilled else 'trained on labels'},"
            )
            pairs.append((f"{how} {student['name']}", alike, student))
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
