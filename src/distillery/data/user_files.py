"""A user's own rows: texts, pairs and labels from a file in any common format."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from distillery.data.inputs import Columns, Source, find_columns
from distillery.data.readers import Table, open_table
from distillery.data.task import Example
from distillery.errors import UserError

NO_TEXT = "rows without text"
NO_PAIR = "rows without a second text"


class Reading:
    """The examples of a file; iterating reads it, each time from its start.

    columns: the columns that are read, as the file writes their names. names: all columns of the
    file, in order. dropped: reason -> number of rows left out so far; after an iteration, every
    row of the file was either given or is counted here. Memory doesn't grow with the rows.
    """

    def __init__(self, path: Path, table: Table, columns: Columns) -> None:
        self.columns, self.names = columns, table.names
        self.dropped: Counter[str] = Counter()
        self._path, self._table = path, table

    def __iter__(self) -> Iterator[tuple[Example, str | None]]:
        """(example, label or None) of each row with text, in the file's order.

        `Example.row` counts all rows of the file from 0; `Example.label` is None. UserError names
        the row or line where the file is broken.
        """
        roles = {role: name for role, name in vars(self.columns).items() if name is not None}
        self.dropped.clear()
        for number, values in enumerate(self._table.rows([*roles.values()])):
            row: dict[str, str | None] = {}
            for (role, name), value in zip(roles.items(), values, strict=True):
                try:
                    row[role] = label_text(value) if role == "label" else _text(value)
                except ValueError as error:
                    raise UserError(
                        f"{self._path.name}, row {number + 1}, column '{name}': {error}"
                    ) from None
            if row["text"] is None:
                self.dropped[NO_TEXT] += 1
            elif "text_pair" in roles and row["text_pair"] is None:
                self.dropped[NO_PAIR] += 1
            else:
                yield Example(number, row["text"], row.get("text_pair")), row.get("label")


def read_examples(path: Path, columns: Columns, labelled: bool = True) -> Reading:
    """Opens a user's file and resolves its columns.

    labelled: whether labels are read; otherwise they are None, whatever the file has.
    UserError if the file cannot be read, has no rows, or `columns` don't fit it.
    """
    roles = ["text", "text_pair"]
    if labelled:
        roles.append("label")
    else:
        columns = replace(columns, label=None)
    table = open_table(Source(path), columns)
    return Reading(path, table, find_columns(path.name, table.names, columns, roles))


def _text(value: Any) -> str | None:
    """The text of a cell, unchanged; None if it is empty or blank. ValueError for other values."""
    text = _as_text(value)
    return text if text is not None and text.strip() else None


def label_text(value: Any) -> str | None:
    """A label without surrounding blanks, true as "1"; None if there is none. ValueError as in
    `_as_text`."""
    text = _as_text(int(value) if isinstance(value, bool) else value)
    return (text or "").strip() or None


def _as_text(value: Any) -> str | None:
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
