"""Splits made in a temporary folder and read back, for tests."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from distillery.data import splits, spool
from distillery.data.store import Row
from distillery.data.task import Example, Task
from distillery.kinds import CLASSIFICATION, Kind
from distillery.recipes import DataRecipe

LETTERS = DataRecipe(clean="markup", same_text="letters", dev_rows=4)


def spooled(
    raw: Mapping[str, Sequence[Example]],
    recipe: DataRecipe,
    folder: Path,
    kind: Kind = CLASSIFICATION,
) -> dict[str, spool.Spool]:
    """The rows of each source split, on disk in `folder`."""
    found = {}
    for role, examples in raw.items():
        writer = spool.Writer(folder, role, recipe, kind)
        for example in examples:
            writer.add(example)
        found[role] = writer.finish()
    return found


def rows_of(split: splits.Rows) -> list[Row]:
    """The rows of a split as they would be written."""
    return [Row(**row) for table in split.source.take(split.places) for row in table.to_pylist()]


def make(
    raw: Mapping[str, Sequence[Example]],
    recipe: DataRecipe,
    labels: Sequence[str] = ("0", "1"),
    kind: Kind = CLASSIFICATION,
) -> tuple[dict[str, list[Row]], dict[str, int]]:
    """The rows of each split made from `raw`, and what was dropped."""
    task = Task("made", tuple(labels), kind)
    with tempfile.TemporaryDirectory() as folder:
        made, dropped = splits.make(spooled(raw, recipe, Path(folder), kind), recipe, task)
        return {name: rows_of(split) for name, split in made.items()}, dict(dropped)
