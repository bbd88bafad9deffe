"""A user's own rows from CSV, TSV, JSONL or Parquet, in the encoding UTF-8."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.errors import UserError, choose, reason
from distillery.preprocessing import tables
from distillery.preprocessing.task import Example

OBVIOUS = {
    "text": ("text", "sentence", "review", "content", "body", "document", "sentence1"),
    "text_pair": ("text_pair", "sentence2"),
    "label": ("label", "labels", "sentiment", "class", "category", "target", "stars", "rating"),
}
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Columns:
    """Names of the columns; None where they are to be found by their usual names."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None


USUAL = Columns()


def check_file(path: Path) -> None:
    """UserError where there is no such file."""
    if path.is_dir():
        raise UserError(f"data file {path} is a folder: name the file in it")
    if not path.is_file():
        raise UserError(f"data file {path} does not exist")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file as dictionaries. UserError names the file and what is wrong with it."""
    check_file(path)
    choose(f"kind of data file {path.name}: suffix", path.suffix.lower(), SUFFIXES)
    if path.stat().st_size == 0:
        raise UserError(f"data file {path} is empty")
    reader = {".jsonl": _read_jsonl, ".parquet": _read_parquet}.get(path.suffix.lower(), _read_csv)
    try:
        rows = reader(path)
    except UnicodeDecodeError as error:
        raise UserError(f"data file {path} is not UTF-8 (byte {error.start})") from None
    if not rows:
        raise UserError(f"data file {path} has no rows")
    return rows


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            return [*tables.rows(file, tabs=path.suffix.lower() == ".tsv")]
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise UserError(f"data file {path}, {error}") from None


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"data file {path}, line {number}: no JSON ({error})") from None
            if not isinstance(row, dict):
                raise UserError(f"data file {path}, line {number} is no JSON object")
            rows.append(row)
    return rows


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise UserError(f"data file {path} cannot be read as Parquet ({reason(error)})") from None
    return rows


def find_columns(path: Path, names: Sequence[str], columns: Columns) -> Columns:
    """The columns that are meant: those named, else, among the others, those with a usual name.

    UserError where a column that is named does not exist or is named for two roles: a label that
    is read as text too would be no task.
    """
    found: dict[str, str | None] = {}
    for role in OBVIOUS:
        named = getattr(columns, role)
        if named is None:
            continue
        choose(f"column in {path.name} ({_option(role)})", named, names)
        for other, taken in found.items():
            if named == taken:
                both = f"{_option(other)} and {_option(role)}"
                raise UserError(f"column '{named}' in {path.name} cannot be {both} at once")
        found[role] = named
    by_lower = {str(name).lower(): name for name in names if name not in found.values()}
    for role, usual in OBVIOUS.items():
        if role not in found:
            found[role] = next((by_lower[name] for name in usual if name in by_lower), None)
    if found["text"] is None:
        raise UserError(
            f"{path.name} has no obvious text column among {', '.join(map(str, names))}:"
            " name it with --text-column"
        )
    return Columns(**found)


def _option(role: str) -> str:
    return f"--{role.replace('_', '-')}-column"


def _text(value: Any, where: str) -> str:
    """A cell that holds a text which can be written as UTF-8, else UserError."""
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where} has no text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where} is no valid text (character {error.start})") from None
    return value


def _label_text(value: Any, where: str) -> str | None:
    """A label as text; None where the cell is empty."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str | int | float):
        raise UserError(f"{where}: a label is neither text nor number: {value!r}")
    if value != value:  # not a number: how tables write an empty cell
        return None
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


Labelled = list[tuple[Example, str | None]]


def read_examples(path: Path, columns: Columns, labelled: bool = True) -> Labelled:
    """(example, label text or None) for each row of a file, in its order.

    labelled: whether labels are read; else they are None, whatever the file has.
    """
    rows = read_rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = find_columns(path, names, columns)
    examples: Labelled = []
    for number, row in enumerate(rows):
        text, pair = (row.get(name) if name else None for name in (columns.text, columns.text_pair))
        where = f"{path.name}, row {number + 1}"
        first = _text(text, f"{where}: column '{columns.text}'")
        second = (
            _text(pair, f"{where}: column '{columns.text_pair}'") if columns.text_pair else None
        )
        label = _label_text(row.get(columns.label), where) if labelled and columns.label else None
        if label is not None:
            _text(label, f"{where}: column '{columns.label}'")
        examples.append((Example(number, first, second), label))
    return examples


def label_order(texts: set[str], declared: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """The labels in order: as declared, else by number or alphabet. UserError on others."""
    if declared:
        if len(declared) < 2 or len(set(declared)) < len(declared) or not all(declared):
            raise UserError(f"--labels {','.join(declared)} is impossible: different labels, A,B")
        for text in sorted(texts):
            choose(f"label in {where}", text, declared)
        return tuple(declared)
    if len(texts) < 2:
        names = ", ".join(sorted(texts)) or "no label at all (name their --label-column)"
        raise UserError(f"{where} has {names}: at least two different labels are needed")
    if len(texts) > 1000:
        raise UserError(f"{where} has {len(texts)} different labels: is it the right column?")
    try:
        return tuple(sorted(texts, key=float))
    except ValueError:
        return tuple(sorted(texts))
