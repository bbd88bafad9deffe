"""CSV and TSV files as spreadsheets, pandas and `"\\t".join` write them.

Python's csv module parses the cells, not pyarrow's or pandas' reader: those accept broken quotes
silently, count rows per block in their errors, and turn cells such as `NA` or `007` into values.
"""

import contextlib
import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from distillery.data.inputs import Columns, Source, plain, text_names
from distillery.errors import UserError

_SAMPLE = 200  # number of lines that decide the delimiter
_SEPARATOR_LINE = re.compile(r'"?sep=([^"])"?', re.IGNORECASE)  # Excel's
_CELL = r'(?:"[^"]*(?:""[^"]*)*"|[^"\t]*)'
_QUOTED_BY_A_WRITER = re.compile(rf"{_CELL}(?:\t{_CELL})*[\r\n]*")
_LONE_CR, _LONE_CR_PATTERN = "\udcff", re.compile(r"\r(?!\n)")
_LINES_MERGED = 20  # a quoted cell with so many lines that each look like a row isn't one
_MERGED = (
    "the lines up to {} look like rows inside one quoted cell: close its quote, or save the file"
    " as JSON lines"
)


@dataclass(frozen=True)
class Dialect:
    """How the cells of a file are separated.

    quoted: cells may be in double quotes; otherwise a quote is text. spaced: a blank after each
    delimiter is not part of the cell. skipped: number of lines before the header.
    """

    delimiter: str
    quoted: bool = True
    spaced: bool = False
    skipped: int = 0

    def reader(self, lines: Iterable[str]) -> Any:
        csv.field_size_limit(1 << 27)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            skipinitialspace=self.spaced,
            strict=True,
        )


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[Iterator[str]]:
    r"""The lines of a file.

    Lines end in \n or \r\n, and a lone \r inside is text, which some versions of csv and pandas
    don't quote. Only if the first line ends in \r, every \r ends a line. Since csv always takes it
    for a line end, a character that decoded text never contains stands for a lone \r.
    """
    with source.text() as file:
        newline = "" if file.readline().endswith("\r") else "\n"
    with source.text(newline) as file:
        yield (_LONE_CR_PATTERN.sub(_LONE_CR, line) for line in file) if newline else file


class Table:
    """The rows of a CSV or TSV file with a header.

    Before the header there may be blank lines, Excel's `sep=;` line and comments: lines that start
    with `#` and don't name the text column. Blank lines elsewhere are not rows.
    """

    def __init__(self, source: Source, columns: Columns) -> None:
        self._source = source
        with source.explained():
            self._dialect = _detected(source, columns)
        self._header = [name.replace(_LONE_CR, "\r") for name in next(self._records(), [])]
        self.names = [name for name in self._header if name.strip()]
        if next(itertools.islice(self._records(), 1, None), None) is None:
            raise UserError(f"data file {source.path} has no rows")

    def rows(self, wanted: Sequence[str]) -> Iterator[list[str]]:
        """The cells of the columns `wanted`, row by row."""
        places = [self._header.index(name) for name in wanted]
        for cells in itertools.islice(self._records(), 1, None):
            yield [cells[place].replace(_LONE_CR, "\r") for place in places]

    def _records(self) -> Iterator[list[str]]:
        """The header, then the rows."""
        skipped = self._dialect.skipped
        with self._source.explained(), _opened(self._source) as file:
            taken: list[str] = []  # the lines of a record
            lines = itertools.islice(file, skipped, None)
            reader = self._dialect.reader(_remembered(lines, taken))
            width = None
            row, line = 0, skipped + 1
            try:
                for cells in reader:
                    if width is None:
                        width = _Width(cells)
                    elif not width.fits(cells) and not width.is_blank(cells):
                        raise self._error(row, line, width.fault(cells))
                    if width.are_rows(taken, self._dialect.delimiter):
                        raise self._error(row, line, _MERGED.format(line + len(taken) - 1))
                    taken.clear()
                    if cells and not (len(cells) < width.least):
                        yield cells
                        row += 1
                    line = skipped + reader.line_num + 1
            except csv.Error as error:
                raise self._error(row, line, _explained(error)) from None

    def _error(self, row: int, line: int, fault: str) -> UserError:
        place = f"row {row} (line {line})" if row else f"header (line {line})"
        return self._source.error(place, fault)


def _explained(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "a quoted cell is never closed"
    if "expected after" in str(error):
        return "a closing quote is followed by more text in the same cell"
    return str(error)


def _remembered(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    """The lines, which are added to `taken` as they are read."""
    for line in lines:
        taken.append(line)
        yield line


class _Width:
    """How many cells a row has, given the header.

    Spreadsheets write empty columns at the end of the header, of some rows, or of both.
    """

    def __init__(self, header: Sequence[str]) -> None:
        self.most = len(header)
        named = [place for place, name in enumerate(header) if name.strip()]
        self.least = named[-1] + 1 if named else 1

    def fits(self, cells: Sequence[str]) -> bool:
        count = len(cells)
        return count >= self.least and not any(cells[self.most :])

    def is_whole(self, line: str, delimiter: str = "\t") -> bool:
        """Whether a line is blank or a whole row, if quotes are text."""
        cells = line.rstrip("\r\n").split(delimiter)
        return self.fits(cells) or self.is_blank(cells)

    def are_rows(self, lines: Sequence[str], delimiter: str) -> bool:
        """Whether so many lines of one record are whole rows that a quote must be a stray one."""
        many = len(lines) >= _LINES_MERGED and self.least > 1
        return many and all(self.is_whole(line, delimiter) for line in lines)

    def is_blank(self, cells: Sequence[str]) -> bool:
        """Whether the cells are of a blank line."""
        return not cells or (self.least > 1 and len(cells) == 1 and not cells[0].strip())

    def fault(self, cells: Sequence[str]) -> str:
        found = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
        header = "1 column" if self.least == 1 else f"{self.least} columns"
        hint = " (a cell with the delimiter in it needs quotes)" if len(cells) > self.most else ""
        return f"{found}, but the header has {header}{hint}"


def _detected(source: Source, columns: Columns) -> Dialect:
    with _opened(source) as file:
        lines = [*itertools.islice(file, _SAMPLE)]
    known = text_names(columns)
    delimiter, skipped = "", 0
    for line in lines:
        separator = _SEPARATOR_LINE.fullmatch(line.rstrip("\r\n"))
        if separator and not delimiter:
            delimiter = separator[1]
        elif line.strip() and (not line.startswith("#") or _names_any(line, known)):
            break
        skipped += 1
    lines = lines[skipped:]
    if not delimiter:  # the first of those that fit best
        order = "\t,;|" if source.kind == ".tsv" else ",;\t|"
        delimiter = max(order, key=lambda char: _score(char, lines, known))
    header = _parsed(lines[:1], delimiter)[:1]
    spaced = len(header) > 0 and len(header[0]) > 1 and all(c[:1] == " " for c in header[0][1:])
    quoted = delimiter != "\t" or source.kind == ".csv" or _is_quoted(source, skipped)
    return Dialect(delimiter, quoted, spaced, skipped)


def _names_any(line: str, known: set[str]) -> bool:
    cells = re.split(r"[,;\t|]", line.rstrip("\r\n"))
    return any(plain(cell.strip('"')) in known for cell in cells)


def _score(delimiter: str, lines: Sequence[str], known: set[str]) -> tuple[bool, int]:
    """How well a delimiter fits: whether it isolates a text column, how many rows are as wide as
    the header."""
    rows = _parsed(lines, delimiter)
    if not rows or len(rows[0]) < 2:
        return False, 0
    width = _Width(rows[0])
    return any(plain(name) in known for name in rows[0]), sum(map(width.fits, rows))


def _parsed(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The rows up to the first that cannot be parsed, such as the last one of a sample."""
    rows = []
    try:
        for cells in Dialect(delimiter).reader(lines):
            rows.append(cells)
    except csv.Error:
        pass
    return rows


def _is_quoted(source: Source, skipped: int) -> bool:
    """Whether quotes around the cells of a file with tabs were written by a CSV writer.

    Some programs write TSV like CSV, others (GLUE's) write cells as they are, so a cell may just
    begin with a quote. The whole file is read both ways, and quotes are removed only if that
    explains every row. UserError if both ways do, with different numbers of rows.
    """
    with _opened(source) as file:
        lines = enumerate(itertools.islice(file, skipped, None), start=skipped + 1)
        width, plain_fits, written, merged = None, True, True, (0, 0)
        for number, line in lines:
            if '"' not in line and width is not None:
                continue  # the same both ways
            taken = [line]
            try:
                cells = next(Dialect("\t").reader(_taking(taken, lines, width)))
            except csv.Error:
                return False
            width = width or _Width(cells)
            if not width.fits(cells):
                return False
            written = written and bool(_QUOTED_BY_A_WRITER.fullmatch("".join(taken)))
            if not all(map(width.is_whole, taken)):
                plain_fits = False
            elif len(taken) > 1:
                merged = (number, number + len(taken) - 1)
    if not (plain_fits and merged[0]):
        return True
    if written:
        raise UserError(
            f"data file {source.path}: lines {merged[0]} to {merged[1]} may be one row with a"
            " quoted cell or several rows: save the file as CSV or JSON lines"
        )
    return False


def _taking(
    taken: list[str], lines: Iterator[tuple[int, str]], width: _Width | None
) -> Iterator[str]:
    """The lines of one record, which are added to `taken`.

    csv.Error if so many lines in a quoted cell are whole rows that the quote must be text.
    """
    yield taken[0]
    for _, line in lines:
        taken.append(line)
        if len(taken) == _LINES_MERGED and width and width.are_rows(taken, "\t"):
            raise csv.Error("rows inside a quoted cell")
        yield line
