"""Raw rows on disk while stage 1 decides where each goes: memory holds a few numbers a row."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distillery.data import keys
from distillery.data.task import Example
from distillery.errors import UserError
from distillery.kinds import Kind
from distillery.recipes import DataRecipe

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 4096  # rows in memory at once


@dataclass(frozen=True)
class Spool:
    """The rows of one source split, cleaned, in their order. Their texts are read from a file.

    keys: (N,) uint64, equal where two rows count as the same text. turned: (N,) uint64, the keys of
    pairs with their texts swapped; none for single texts. labels: (N,) of the kind's type, its
    `missing` where there is none.
    """

    path: Path
    kind: Kind
    keys: np.ndarray
    turned: np.ndarray
    labels: np.ndarray
    paired: bool

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def groups(self) -> np.ndarray:
        """(N,) int64, the group of each row's label."""
        return self.kind.groups(self.labels)

    def take(self, places: np.ndarray) -> "Iterator[pa.Table]":
        """The rows at (n,) places with their labels, in that order, some at a time. Ascending
        places are streamed."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        def labelled(table: "pa.Table", places: np.ndarray) -> "pa.Table":
            return table.append_column("label", pa.array(self.labels[places]))

        if len(places) and (np.diff(places) <= 0).any():
            yield labelled(pq.read_table(self.path).take(places), places)
            return
        start = 0
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            for batch in file.iter_batches(4 * CHUNK):
                low, high = np.searchsorted(places, [start, start + len(batch)])
                if low < high:
                    wanted = places[low:high]
                    yield labelled(pa.Table.from_batches([batch]).take(wanted - start), wanted)
                start += len(batch)

    def texts(self) -> list[str]:
        """All first texts."""
        import pyarrow.parquet as pq

        result: list[str] = pq.read_table(self.path, columns=["text"])["text"].to_pylist()
        return result


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text as nltk's Punkt finds them by its rules alone, with no data
    (Kiss and Strunk 2006); what has no letter or digit is none."""
    from nltk.tokenize import PunktSentenceTokenizer

    for sentence in PunktSentenceTokenizer().tokenize(text):
        if any(map(str.isalnum, sentence)):
            yield sentence


class Writer:
    """Writes the rows of a source split to a file in `folder`, cleaned as the recipe says.

    role: train, test or unlabeled. Where the recipe cuts unlabeled texts into sentences, each
    becomes a row of its own, and rows are numbered from 0.
    """

    def __init__(self, folder: Path, role: str, recipe: DataRecipe, kind: Kind) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"row": pa.int64()} | dict.fromkeys(("id", "text", "text_pair"), pa.string())
        self.path, self.kind = folder / f"{role}.parquet", kind
        self.cut = role == "unlabeled" and recipe.unlabeled_as == "sentences"
        self.schema = pa.schema(list(columns.items()))
        self.exact = recipe.same_text == "exact"
        self.file = pq.ParquetWriter(self.path, self.schema, compression="lz4")
        self.clean, self.key_of = keys.CLEAN[recipe.clean], keys.SAME_TEXT[recipe.same_text]
        self.keys, self.turned, self.labels = array("Q"), array("Q"), array("d")
        self.waiting: list[tuple[int, str, str, str | None]] = []
        self.paired: bool | None = None

    def add(self, example: Example) -> None:
        """Adds a row. UserError where it is a pair and earlier ones are not, or the reverse."""
        row, text, pair, label = example
        text, pair = self.clean(text), None if pair is None else self.clean(pair)
        if self.paired is None:
            self.paired = pair is not None
        if self.paired is not (pair is not None):
            raise UserError("some rows have pairs of texts and some have single ones")
        if not self.cut:
            self._add(row, text, pair, label)
        elif pair is not None:
            raise UserError("unlabeled_as sentences is for single texts, and these are pairs")
        else:
            for sentence in sentences(text):
                self._add(len(self.labels), sentence, None, label)

    def _add(self, row: int, text: str, pair: str | None, label: float | None) -> None:
        exact = keys.digest(keys.exact(text, pair))
        self.keys.append(exact if self.exact else keys.digest(self.key_of(text, pair)))
        if pair is not None:
            self.turned.append(keys.digest(self.key_of(pair, text)))
        self.labels.append(self.kind.missing if label is None else label)
        self.waiting.append((row, f"{exact:016x}", text, pair))
        if len(self.waiting) == CHUNK:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self.waiting:
            columns = [*map(list, zip(*self.waiting, strict=True))]
            self.file.write_table(pa.table(columns, schema=self.schema))
            self.waiting.clear()

    def finish(self) -> Spool:
        """Closes the file; gives its rows."""
        self._flush()
        self.file.close()
        found, turned = (np.array(values, np.uint64) for values in (self.keys, self.turned))
        labels = np.array(self.labels, self.kind.dtype)
        return Spool(self.path, self.kind, found, turned, labels, bool(self.paired))
