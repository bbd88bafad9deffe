"""Reads the rows of a user's file, whatever its format, without holding the file in memory."""

import contextlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from distillery.data import delimited
from distillery.data.inputs import Columns, Source, plain
from distillery.errors import UserError, reason

_SAMPLE = 1000  # number of JSON objects whose keys are the columns
_CHUNK = 1 << 16  # characters or bytes read at once
_BATCH = 256  # rows of a Parquet file in memory at once


class Table(Protocol):
    """The rows of a file. `names`: its columns in order, without unnamed ones."""

    names: list[str]

    def rows(self, wanted: Sequence[str]) -> Iterator[Sequence[Any]]:
        """The values of the columns `wanted`, row by row; each call reads the file again."""


def open_table(source: Source, columns: Columns) -> Table:
    """Opens a file. UserError, now or while iterating, says where the file is broken."""
    if source.kind in (".json", ".jsonl", ".ndjson"):
        return JsonTable(source, columns)
    if source.kind == ".parquet":
        return ParquetTable(source)
    return delimited.Table(source, columns)


class JsonTable:
    """JSON objects, one a line or in an array.

    The columns are the keys of the first 1,000 objects. Of keys that come later only the columns
    that the user names are read. Parsed by Python's json, since pyarrow infers a type for each
    column: it refuses columns that mix text and numbers as labels, and rewrites numbers.
    """

    def __init__(self, source: Source, columns: Columns) -> None:
        self._source = source
        named = {plain(name) for name in vars(columns).values() if name is not None}
        names: dict[str, None] = {}
        empty = True
        for number, row in enumerate(self._objects()):
            empty = False
            if number < _SAMPLE:
                names.update(dict.fromkeys(row))
            elif named <= {plain(name) for name in names}:
                break
            else:
                names.update((name, None) for name in row if plain(name) in named)
        if empty:
            raise UserError(f"data file {source.path} has no rows")
        self.names = [*names]

    def rows(self, wanted: Sequence[str]) -> Iterator[list[Any]]:
        for row in self._objects():
            yield [row.get(name) for name in wanted]

    def _objects(self) -> Iterator[dict[str, Any]]:
        with self._source.explained(), self._source.text() as file:
            line, char = 1, file.read(1)
            while char.isspace():
                line += char == "\n"
                char = file.read(1)
            values = self._array(file, line) if char == "[" else self._lines(char, file, line)
            for place, value in values:
                if not isinstance(value, dict):
                    raise self._source.error(place, "not a JSON object")
                yield value

    def _lines(self, start: str, file: TextIO, line: int) -> Iterator[tuple[str, Any]]:
        lines = itertools.chain([start + file.readline()], file)
        for number, text in enumerate(lines, start=line):
            if text.strip():
                try:
                    yield f"line {number}", _JSON.decode(text)
                except (json.JSONDecodeError, RecursionError) as error:
                    raise self._source.error(f"line {number}", _invalid(error)) from None

    def _array(self, file: TextIO, line: int) -> Iterator[tuple[str, Any]]:
        """The elements of an array whose opening bracket has been read."""
        text = _JsonText(file, line)
        try:
            if text.next_char() != "]":
                for row in itertools.count(1):
                    yield f"row {row}", text.value()
                    if text.next_char() != ",":
                        break
                    text.expect(",")
            text.expect("]")
            if text.next_char():
                raise json.JSONDecodeError("more text after the array", text.text, text.at)
        except (json.JSONDecodeError, RecursionError) as error:
            raise self._source.error(f"line {text.line_of(error)}", _invalid(error)) from None


def _invalid(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON ({error.msg})"
    return "not valid JSON (nested too deeply)"


# Numbers stay as they are written: a text or label 1.50 isn't 1.5. NaN is how pandas and numpy
# write a missing value.
_JSON = json.JSONDecoder(
    parse_float=str, parse_int=str, parse_constant=lambda name: None if name == "NaN" else name
)
_BLANKS = re.compile(r"[ \t\r\n]*")
_LONGEST_TOKEN = 16  # characters: nothing but a string is longer and can be cut by a chunk's end


class _JsonText:
    """JSON text; only the part that is being parsed is in memory."""

    def __init__(self, file: TextIO, line: int) -> None:
        self._file, self._line = file, line
        self.text, self.at = "", 0

    def next_char(self) -> str:
        """The next character that isn't blank, "" at the end of the file."""
        while True:
            self.at = _BLANKS.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return ""

    def expect(self, char: str) -> None:
        found = self.next_char()
        if found != char:
            fault = f"Expecting '{char}'" if found else "the file ends inside the array"
            raise json.JSONDecodeError(fault, self.text, self.at)
        self.at += 1

    def value(self) -> Any:
        self.next_char()
        while True:
            try:
                value, self.at = _JSON.raw_decode(self.text, self.at)
                return value
            except json.JSONDecodeError as error:
                at_end = error.pos >= len(self.text) - _LONGEST_TOKEN
                cut = at_end or error.msg.startswith("Unterminated string")
                if not cut or not self._more():
                    raise

    def _more(self) -> bool:
        """Reads on, at least as much as is unparsed already, so that long values stay fast."""
        self._line += self.text.count("\n", 0, self.at)
        rest = self.text[self.at :]
        more = self._file.read(max(_CHUNK, len(rest)))
        self.text, self.at = rest + more, 0
        return bool(more)

    def line_of(self, error: Exception) -> int:
        position = error.pos if isinstance(error, json.JSONDecodeError) else self.at
        return self._line + self.text.count("\n", 0, position)


class ParquetTable:
    """A Parquet file. Classes that the Hugging Face hub numbers are given by their names."""

    def __init__(self, source: Source) -> None:
        self._source = source
        with source.explained():
            self._file = source.unpacked()
        with self._opened() as file:
            self.names: list[str] = [name for name in file.schema_arrow.names if name.strip()]
            self._classes = _class_names(file.schema_arrow.metadata)
            if file.metadata.num_rows == 0:
                raise UserError(f"data file {source.path} has no rows")

    def rows(self, wanted: Sequence[str]) -> Iterator[Sequence[Any]]:
        with self._opened() as file:
            for batch in file.iter_batches(_BATCH, columns=list(wanted)):
                yield from zip(
                    *(self._values(name, batch.column(name)) for name in wanted), strict=True
                )

    def _values(self, name: str, column: Any) -> list[Any]:
        values: list[Any] = column.to_pylist()
        if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
            # 0.1 in single precision is 0.1 as text, not 0.10000000149011612
            kind = column.type.to_pandas_dtype()
            values = [value if value is None else float(str(kind(value))) for value in values]
        if name in self._classes and pa.types.is_integer(column.type):
            values = [self._class(name, value) for value in values]
        return values

    def _class(self, column: str, number: int | None) -> str | None:
        """The hub's name of a class; it numbers a row without a label -1."""
        names = self._classes[column]
        if number is None or number == -1:
            return None
        if not 0 <= number < len(names):
            raise UserError(
                f"data file {self._source.path}: column '{column}' has the class {number},"
                f" but names for {len(names)} classes only, counted from 0"
            )
        return names[number]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            # by default pyarrow reads row groups ahead and keeps them all in memory
            with pq.ParquetFile(self._file, buffer_size=_CHUNK, pre_buffer=False) as file:
                yield file
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise UserError(
                f"data file {self._source.path} cannot be read as Parquet ({reason(error)})"
            ) from None


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Column -> names of its classes, as `datasets` notes them in the schema of a Parquet file."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: feature["names"]
            for name, feature in features.items()
            if isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
            and all(isinstance(label, str) for label in feature["names"])
        }
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}  # no such note, or one in a form that we don't know
