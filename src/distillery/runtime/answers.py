"""Predictions as lines: a label with its probability and text, or a JSON object."""

import json
import re

import numpy as np

FORMATS = ("text", "jsonl")
# What would break a line or a column, or cannot be written as UTF-8.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def escaped(text: str) -> str:
    r"""The text on one line without tabs: control characters as `\t`, `\n`, `\x0b`."""
    return _BREAKS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def line(
    row: tuple[str, ...],
    labels: list[str],
    probabilities: np.ndarray,
    layout: str,
    top: int | None = None,
) -> str:
    """A prediction as one line, without its end.

    row: the text, or the two texts of a pair. probabilities: (labels,). layout: of `FORMATS`.
    top: how many labels, the most probable first [text: 1, jsonl: all].
    """
    default = 1 if layout == "text" else len(labels)
    order = np.argsort(-probabilities, kind="stable")[: top or default].tolist()
    if layout == "text":
        scores = [part for n in order for part in (escaped(labels[n]), f"{probabilities[n]:.4f}")]
        return "\t".join([*scores, *map(escaped, row)])
    best = order[0]
    answer = {
        "label": labels[best],
        "score": _rounded(probabilities[best]),
        "scores": {labels[n]: _rounded(probabilities[n]) for n in order},
        **dict(zip(("text", "text_pair"), row, strict=False)),
    }
    return json.dumps(answer, ensure_ascii=False)


def _rounded(probability: float) -> float:
    """Six digits, which fp32 still has."""
    return round(float(probability), 6)
