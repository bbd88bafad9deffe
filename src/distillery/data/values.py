"""Texts and labels from the values in a user's file, and the order of labels."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from distillery.errors import UserError, choose

_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0+", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


def as_text(value: Any) -> str | None:
    """A cell as text: text stays exactly as it is, and numbers are written out.

    None for null and for the number NaN, with which pandas marks an empty cell. ValueError for
    values that are neither text nor number, and for text that cannot be written as UTF-8.
    """
    if value is None or value != value:
        return None
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int | float):
        text = str(value)
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    elif isinstance(value, bytes):  # some programs write texts to Parquet without saying so
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"not UTF-8 (byte {error.start})") from None
    else:
        raise ValueError(f"neither text nor number: {repr(value)[:60]}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"not valid text (character {error.start})") from None
    return text


def label_text(value: Any) -> str | None:
    """One text for a label, however the file writes it; None if there is no label.

    Surrounding blanks are removed, and a whole number is written without a fraction: 1, 1.0,
    "1.0" and true are the label "1". Everything else stays as it is: "01", "1.50", "True", "Pos"
    beside "pos", and the texts "nan" and "None". ValueError as in `as_text`.
    """
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    text = (as_text(value) or "").strip()
    whole = _WHOLE.fullmatch(text)
    if whole:
        text = "0" if whole[1] == "-0" else whole[1]
    return text or None


def label_order(
    texts: Iterable[str], declared: Sequence[str] | None, where: str
) -> tuple[str, ...]:
    """The labels in order: as declared, else by number if all are numbers, else by alphabet.

    Raises UserError for a label that isn't declared, for fewer than two and more than 1,000.
    """
    found = [*dict.fromkeys(texts)]
    if declared is not None:
        order = [label_text(text) or "" for text in declared]
        if len(order) < 2 or len(set(order)) < len(order) or not all(order):
            raise UserError(
                f"--labels {','.join(declared)} needs at least two different labels: A,B"
            )
        for text in sorted(found):
            choose(f"label in {where}", text, order)
        return tuple(order)
    if len(found) < 2:
        names = ", ".join(sorted(found)) or "no label at all (name their --label-column)"
        raise UserError(f"{where} has {names}: at least two different labels are needed")
    if len(found) > 1000:
        raise UserError(f"{where} has {len(found)} different labels: is it the right column?")
    if all(map(_NUMBER.fullmatch, found)):
        return tuple(sorted(found, key=lambda text: (float(text), text)))
    return tuple(sorted(found))
