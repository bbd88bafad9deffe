"""Tables as text: TSV without quoting, as GLUE writes it, and CSV with quotes."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TextIO

from distillery.data.task import Example

Parse = Callable[[str, bytes], Iterator[tuple[str, Example]]]


def rows(file: TextIO, tabs: bool, columns: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """The rows of a table, column -> cell; blank lines are passed over.

    tabs: cells stand between tabs and quotes are text, else between commas and may be quoted.
    columns: their names, where the first line is a row already.
    ValueError says which row is wrong, the first below the names being 1: too many or too few
    cells, a column named twice, a quote that is not closed.
    """
    csv.field_size_limit(1 << 27)
    reader = csv.reader(
        file,
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        strict=True,
    )
    names: Sequence[str] = columns
    number = 0
    try:
        if not names:
            names = next(reader, [])
            if len(set(names)) < len(names):
                raise ValueError(f"a column is named twice: {', '.join(names)}")
        for cells in reader:
            if cells:
                number += 1
                if len(cells) != len(names):
                    raise ValueError(f"row {number} has not {len(names)} columns")
                yield dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None


def parser(
    splits: Mapping[str, str],
    labels: Sequence[str] = (),
    text: str = "text",
    text_pair: str | None = None,
    label: str = "label",
    columns: Sequence[str] = (),
) -> Parse:
    """Reads the tables of a download as `Task.parse` does.

    splits: file (.tsv, else CSV) -> our split. labels: as the files write them, in their order;
    none where a label is a number.
    text, text_pair, label: the columns that are read. columns: as of `rows`.
    """
    number = {name: index for index, name in enumerate(labels)}

    def parse(path: str, content: bytes) -> Iterator[tuple[str, Example]]:
        if path not in splits:
            return
        file = io.StringIO(content.decode("utf-8-sig"), newline="")
        for row, cells in enumerate(rows(file, path.endswith(".tsv"), columns)):
            missing = [name for name in (text, text_pair, label) if name and name not in cells]
            if missing:
                raise ValueError(f"no column '{missing[0]}', only {', '.join(cells)}")
            try:
                value = number[cells[label]] if number else float(cells[label])
            except (KeyError, ValueError):
                allowed = f"one of {', '.join(labels)}" if labels else "a number"
                raise ValueError(
                    f"row {row + 1} has the label '{cells[label]}', not {allowed}"
                ) from None
            pair = cells[text_pair] if text_pair else None
            yield splits[path], Example(row, cells[text], pair, value)

    return parse
