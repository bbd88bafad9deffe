"""Texts as word pieces, by `tokenizers` alone: no torch, no transformers."""

import functools
import itertools
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from distillery.errors import UserError

if TYPE_CHECKING:
    from distillery.text.stored import Stored

MULTIPLE = 8  # of a batch's length: matmuls want it, and fewer shapes leave less free memory idle


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The positions start, start + 1, ... of (N,) spans, one span after the other: (sum of
    lengths,).

    spans([5, 0], [2, 1]) is [5, 6, 0].
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    found: np.ndarray = np.repeat(starts - (ends - lengths), lengths) + np.arange(total)
    return found


def pieces_of(backend: Any, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The word pieces of N texts, without special tokens: pieces (P,) int32 and offsets (N + 1,)
    int64, text i is pieces[offsets[i]:offsets[i + 1]]."""
    pieces, offsets = array("i"), array("q", [0])
    for encoding in backend.encode_batch_fast(texts, add_special_tokens=False):
        pieces.extend(encoding.ids)
        offsets.append(len(pieces))
    return np.array(pieces, np.int32), np.array(offsets, np.int64)


@dataclass(frozen=True)
class Encoded:
    """The word pieces of N texts, one after the other.

    pieces: (sum of lengths,) int32. offsets: (N + 1,) int64, text i is pieces[offsets[i]:
    offsets[i + 1]]. second: (N,) int32, where the second text of a pair begins (its length, where
    there is none). Special tokens are included.
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
        lengths = self.lengths[rows]
        parts = [self.pieces[self.offsets[row] : self.offsets[row + 1]] for row in rows]
        return Encoded(
            np.concatenate(parts) if parts else np.zeros(0, np.int32),
            offsets_of(lengths),
            self.second[rows],
            self.pad,
        )

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
    """Arrays read as one, without a copy: a slice lies within one of them."""

    def __init__(self, arrays: "list[np.ndarray | Stored | _Chain]", sizes: list[int]) -> None:
        self.arrays = arrays
        self.starts = np.concatenate([[0], np.cumsum(sizes)])

    def __getitem__(self, where: slice) -> np.ndarray:
        number = int(np.searchsorted(self.starts[1:], where.start, side="right"))
        start = int(self.starts[number])
        found: np.ndarray = self.arrays[number][where.start - start : where.stop - start]
        return found


def joined(parts: list[Encoded]) -> Encoded:
    """The rows of several, one after the other; their pieces stay where they are."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Encoded(
        _Chain([part.pieces for part in parts], [int(part.offsets[-1]) for part in parts]),
        offsets_of(lengths),
        np.concatenate([part.second for part in parts]),
        parts[0].pad,
    )


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(N,) lengths -> (N + 1,) int64, where each text begins and the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def cut(pieces: list[int], room: int, head: float) -> list[int]:
    """At most `room` pieces: the first `head` share of them from the start, the rest the end's."""
    if len(pieces) <= room:
        return pieces
    start = round(room * head)
    return pieces[:start] + pieces[len(pieces) - (room - start) :]


def _cut_all(
    pieces: np.ndarray, offsets: np.ndarray, room: int, head: float
) -> tuple[np.ndarray, np.ndarray]:
    """What `cut` gives, of all texts at once: their pieces, one after the other, and lengths."""
    lengths = np.diff(offsets)
    kept = np.minimum(lengths, room)
    start = np.where(lengths > room, round(room * head), kept)
    starts = np.stack([offsets[:-1], offsets[1:] - (kept - start)], axis=1)
    parts = np.stack([start, kept - start], axis=1)
    return pieces[spans(starts.ravel(), parts.ravel())], kept


def _rooms(first: int, second: int, room: int) -> tuple[int, int]:
    """The room of each text of a pair: the longer one is cut first."""
    if first + second <= room:
        return first, second
    short = min(first, second, room // 2)
    return (short, room - short) if first <= second else (room - short, short)


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

    def pieces(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Word pieces and offsets as of `pieces_of`."""
        return pieces_of(self.backend, texts)

    def _pair(self, first: list[int], second: list[int]) -> tuple[list[int], int]:
        rooms = _rooms(len(first), len(second), self.max_length - 2 - len(self.between))
        first, second = (
            cut(pieces, room, self.head)
            for pieces, room in zip((first, second), rooms, strict=True)
        )
        start = [self.first, *first, *self.between]
        return [*start, *second, self.last], len(start)

    def encode(self, texts: list[str], pairs: list[str] | None) -> Encoded:
        """The word pieces of texts, or of pairs of texts, in order."""
        if pairs:
            return self._encode_pairs(texts, pairs)
        room = self.max_length - 2
        inner, counts = _cut_all(*self.pieces(texts), room, self.head)
        offsets = offsets_of(counts + 2)
        pieces = np.empty(offsets[-1], np.int32)
        pieces[offsets[:-1]], pieces[offsets[1:] - 1] = self.first, self.last
        pieces[spans(offsets[:-1] + 1, counts)] = inner
        second = np.diff(offsets).astype(np.int32)
        return Encoded(pieces, offsets, second, self.pad)

    def _encode_pairs(self, texts: list[str], pairs: list[str]) -> Encoded:
        pieces: list[list[int]] = []
        second: list[int] = []
        for one, other in zip(self._lists(texts), self._lists(pairs), strict=True):
            ids, at = self._pair(one, other)
            pieces.append(ids)
            second.append(at)
        lengths = np.array([len(ids) for ids in pieces], dtype=np.int64)
        return Encoded(
            np.fromiter(itertools.chain.from_iterable(pieces), np.int32, int(lengths.sum())),
            offsets_of(lengths),
            np.array(second, dtype=np.int32),
            self.pad,
        )

    def _lists(self, texts: list[str]) -> list[list[int]]:
        """The word pieces of each text, without special tokens."""
        pieces, offsets = self.pieces(texts)
        return [part.tolist() for part in np.split(pieces, offsets[1:-1])]
