"""Texts as word pieces, by `tokenizers` alone: no torch, no transformers."""

import functools
import os
import weakref
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distillery.errors import UserError

MULTIPLE = 8  # of a batch's length: matmuls want it, and fewer shapes leave less free memory idle
POOL = 64  # training batches sorted by length together: small enough to stay random


class Stored:
    """The (P,) int32 in a file; a slice is read from it.

    Not memory-mapped: every page of a mapping that was ever read counts as this process's memory,
    which would grow with the rows it has seen, though the system may take the pages back.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.file)
        self.count = os.fstat(self.file).st_size // 4

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, where: slice) -> np.ndarray:
        start, stop, _ = where.indices(self.count)
        pieces = np.empty(max(0, stop - start), np.int32)
        left, position = pieces.view(np.uint8).data, 4 * start
        while left:  # the system reads 2 GiB at most at once
            read = os.preadv(self.file, [left], position)
            if not read:
                raise UserError(f"{self.path} became shorter while it was read: run this again")
            left, position = left[read:], position + read
        return pieces


@dataclass(frozen=True)
class Encoded:
    """The word pieces of N texts, one after the other, special tokens included.

    pieces: (sum of lengths,) int32. offsets: (N + 1,) int64, text i is pieces[offsets[i]:
    offsets[i + 1]]. second: (N,) int32, where the second text of a pair begins (its length, if
    there is none). pad: id of the padding token.
    """

    pieces: "np.ndarray | Stored | _Chain"
    offsets: np.ndarray
    second: np.ndarray
    pad: int

    def __len__(self) -> int:
        return len(self.second)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    @functools.cached_property
    def longest(self) -> int:
        return int(self.lengths.max(initial=0))

    def take(self, rows: np.ndarray) -> "Encoded":
        """The given rows, in the given order."""
        parts = [self.pieces[self.offsets[row] : self.offsets[row + 1]] for row in rows]
        pieces = np.concatenate([np.zeros(0, np.int32), *parts])
        return Encoded(pieces, offsets_of(self.lengths[rows]), self.second[rows], self.pad)

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """input_ids, attention_mask and token_type_ids, (B, T) int64; the mask is 1 on text.

        T is a multiple of `MULTIPLE`, unless that is beyond the longest text of all.
        """
        lengths = self.lengths[rows]
        width = min(-(-int(lengths.max(initial=0)) // MULTIPLE) * MULTIPLE, self.longest)
        ids = np.full((len(rows), width), self.pad, dtype=np.int64)
        starts = self.offsets[rows].tolist()
        for line, start, length in zip(ids, starts, lengths.tolist(), strict=True):
            line[:length] = self.pieces[start : start + length]
        places = np.arange(width)[None, :]  # (1, T)
        mask = places < lengths[:, None]
        types = mask & (places >= self.second[rows][:, None])
        return {
            "input_ids": ids,
            "attention_mask": mask.astype(np.int64),
            "token_type_ids": types.astype(np.int64),
        }


class _Chain:
    """Arrays read as one, without a copy; a slice must lie within one of them."""

    def __init__(self, arrays: "list[np.ndarray | Stored | _Chain]", sizes: list[int]) -> None:
        self.arrays = arrays
        self.starts = offsets_of(np.array(sizes))

    def __getitem__(self, where: slice) -> np.ndarray:
        number = int(np.searchsorted(self.starts[1:], where.start, side="right"))
        start = int(self.starts[number])
        return self.arrays[number][where.start - start : where.stop - start]


def joined(parts: list[Encoded]) -> Encoded:
    """The rows of several, one after the other; their pieces are not copied."""
    return Encoded(
        _Chain([part.pieces for part in parts], [int(part.offsets[-1]) for part in parts]),
        offsets_of(np.concatenate([part.lengths for part in parts])),
        np.concatenate([part.second for part in parts]),
        parts[0].pad,
    )


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(N,) lengths -> (N + 1,) int64, where each text begins and the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def training_batches(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """The rows of each batch of an epoch: every row once, in an order fixed by seed and epoch."""
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), batch_size * POOL):
        pool = order[start : start + batch_size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def inference_batches(lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Rows from the longest to the shortest, each batch at most `tokens` with its padding."""
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The positions start, start + 1, ... of (N,) spans, one span after the other: (sum of
    lengths,).

    spans([5, 0], [2, 1]) is [5, 6, 0].
    """
    ends = offsets_of(lengths)
    return np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])


Pieces = tuple[np.ndarray, np.ndarray]  # of N texts: pieces (P,) int32 and their counts (N,)


def pieces_of(backend: Any, texts: list[str]) -> Pieces:
    """The word pieces of texts, without special tokens."""
    pieces, counts = array("i"), array("q")
    for encoding in backend.encode_batch_fast(texts, add_special_tokens=False):
        pieces.extend(encoding.ids)
        counts.append(len(encoding.ids))
    return np.array(pieces, np.int32), np.array(counts, np.int64)


def cut(texts: Pieces, rooms: np.ndarray, head: float) -> Pieces:
    """At most `rooms`, (N,) or (), pieces of each text: the fraction `head` of them from its
    beginning, the rest from its end."""
    pieces, counts = texts
    kept = np.minimum(counts, rooms)
    front = np.where(counts > rooms, np.round(rooms * head), kept).astype(np.int64)
    ends = np.cumsum(counts)
    starts = np.stack([ends - counts, ends - (kept - front)], axis=1)
    return pieces[spans(starts.ravel(), np.stack([front, kept - front], axis=1).ravel())], kept


def _rooms(first: np.ndarray, second: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """The rooms of both texts of pairs, from their counts of pieces: the longer one is cut first.

    All arrays are (N,).
    """
    short = np.minimum(np.minimum(first, second), room // 2)
    one = np.where(first <= second, short, room - short)
    fits = first + second <= room
    return np.where(fits, first, one), np.where(fits, second, room - one)


def _side_by_side(parts: list[Pieces]) -> tuple[np.ndarray, np.ndarray]:
    """Row i of every part, one part after the other: pieces (P,) and where the rows begin and end,
    offsets (N + 1,)."""
    counts = np.stack([counts for _, counts in parts], axis=1)  # (N, parts)
    offsets = offsets_of(counts.sum(axis=1))
    starts = offsets[:-1, None] + np.cumsum(counts, axis=1) - counts
    pieces = np.empty(offsets[-1], np.int32)
    for number, (part, count) in enumerate(parts):
        pieces[spans(starts[:, number], count)] = part
    return pieces, offsets


class Reader:
    """How a model reads texts: as word pieces; a long text keeps its beginning and its end.

    backend: the `tokenizers.Tokenizer`, which must neither truncate nor pad. pad: id of the
    padding token. max_length: word pieces of a text or pair, special tokens included. head: when
    truncating, fraction kept from the beginning (the rest is kept from the end).
    """

    def __init__(self, backend: Any, pad: int, max_length: int, head: float) -> None:
        self.backend, self.pad, self.max_length, self.head = backend, pad, max_length, head
        one, two = (self._ids(text, special=False) for text in "ab")
        around = self._ids("a")
        if len(around) - len(one) != 2 or around[1:-1] != one:
            raise UserError("only tokenizers that put one token before and one after are supported")
        self.first, self.last = around[0], around[-1]
        # the tokens between the texts of a pair: `[SEP]` of BERT, `</s></s>` of RoBERTa
        pair = list(backend.encode("a", "b").ids)
        self.between = pair[1 + len(one) : len(pair) - len(two) - 1]
        if not self.between or pair != [self.first, *one, *self.between, *two, self.last]:
            raise UserError("only tokenizers that put a separator between two texts are supported")

    def _ids(self, text: str, special: bool = True) -> list[int]:
        return list(self.backend.encode(text, add_special_tokens=special).ids)

    def pieces(self, texts: list[str]) -> Pieces:
        """The word pieces of texts, without special tokens."""
        return pieces_of(self.backend, texts)

    def encode(self, texts: list[str], pairs: list[str] | None) -> Encoded:
        """The word pieces of texts, or of pairs of texts, in order."""

        def always(tokens: list[int]) -> Pieces:
            return np.tile(tokens, len(texts)), np.full(len(texts), len(tokens))

        one, room = self.pieces(texts), self.max_length - 2
        if pairs:
            two, between = self.pieces(pairs), always(self.between)
            rooms = _rooms(one[1], two[1], room - len(self.between))
            inner = [cut(one, rooms[0], self.head), between, cut(two, rooms[1], self.head)]
        else:
            inner = [cut(one, np.array(room), self.head)]
        parts = [always([self.first]), *inner, always([self.last])]
        pieces, offsets = _side_by_side(parts)
        second = np.sum([counts for _, counts in parts[:3]], axis=0)  # of a single text its length
        return Encoded(pieces, offsets, second.astype(np.int32), self.pad)
