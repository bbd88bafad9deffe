"""How to read the rows of `bench inference`, for the report and for the bench."""

from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]

BASELINE = "sorted"  # the way of the row that all others are divided by
BATCH = 32  # rows, of like length


def mode(row: Facts, batch: int, tokenization: bool) -> Facts | None:
    """What was timed of a row in one mode; None where nothing was."""
    key = (batch, tokenization)
    return next((m for m in row["timed"] if (m["batch"], m["tokenization"]) == key), None)


def score(row: Facts) -> float | None:
    """The score on test of a model; older files call it accuracy."""
    found: float | None = row["score"] if "score" in row else row["accuracy"]
    return found


def metric(found: Facts) -> str:
    """What the scores of a benchmark are."""
    return str(found.get("metric", "accuracy"))


def throughput(row: Facts, tokenization: bool) -> float:
    """Rows per second in batches of `BATCH`."""
    timed = mode(row, BATCH, tokenization)
    if timed is None:
        raise LookupError(f"{row['name']} was not timed in batches of {BATCH}")
    return float(timed["throughput"])


def baseline(rows: Sequence[Facts]) -> Facts:
    """The row that all others are divided by: the shape in fp32, in batches of like length."""
    return next(row for row in rows if row["way"] == BASELINE)
