"""Texts as word pieces, tokenized once and kept on disk."""

import functools
import itertools
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from distillery import files, paths
from distillery.errors import UserError, reason
from distillery.preprocessing.keys import MASK
from distillery.preprocessing.store import Split
from distillery.text.stored import Stored
from distillery.text.words import Words, spans

if TYPE_CHECKING:
    import torch

VERSION = 1  # of the encoding: raise it when the same text would give other pieces
CHUNK = 2048  # texts tokenized at once
_PIECES, _OFFSETS, _SECOND = "pieces.int32", "offsets.npy", "second.npy"
_FILES = {_PIECES, _OFFSETS, _SECOND}
MULTIPLE = 8  # of a batch's length: matmuls want it, and fewer shapes leave less free memory idle


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
            _offsets(lengths),
            self.second[rows],
            self.pad,
        )

    def batch(self, rows: np.ndarray) -> "dict[str, torch.Tensor]":
        """input_ids, attention_mask and token_type_ids, (B, T) int64; the mask is 1 on text.

        T is a multiple of `MULTIPLE`, unless that is beyond the longest text of all.
        """
        import torch

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
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "token_type_ids": torch.from_numpy(types.astype(np.int64)),
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
        _offsets(lengths),
        np.concatenate([part.second for part in parts]),
        parts[0].pad,
    )


def _offsets(lengths: np.ndarray) -> np.ndarray:
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


def tokenizer_hash(tokenizer: Any) -> str:
    """Names what a tokenizer does: its whole fast-tokenizer state."""
    import hashlib

    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16]


def same_pieces(one: Any, other: Any) -> bool:
    """Whether two tokenizers give every text the same word pieces, by the same numbers."""

    def does(tokenizer: Any) -> list[Any]:
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        parts = [state[part] for part in ("model", "normalizer", "pre_tokenizer")]
        return [*parts, tokenizer("a", "b")["input_ids"], tokenizer.pad_token_id]

    return does(one) == does(other)


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer saved in a folder, without truncation or padding of its own."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a loader's many errors all mean: no whole tokenizer
        raise UserError(f"{folder} holds no tokenizer ({reason(error)})") from None
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise UserError(f"the tokenizer in {folder} is not a fast one with a padding token")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Saves a tokenizer without the traces of where and how it was loaded."""
    for trace in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(trace, None)
    tokenizer.save_pretrained(folder)


class Reader:
    """How a model reads texts: as word pieces; long texts keep head and tail."""

    def __init__(self, tokenizer: Any, max_length: int, head: float) -> None:
        self.tokenizer, self.max_length, self.head = tokenizer, max_length, head
        self.words = Words(tokenizer.backend_tokenizer)
        probe = tokenizer("a")["input_ids"], tokenizer("a", add_special_tokens=False)["input_ids"]
        if len(probe[0]) - len(probe[1]) != 2 or probe[0][1:-1] != probe[1]:
            raise UserError("only tokenizers that put one token before and one after are supported")
        self.first, self.last = probe[0][0], probe[0][-1]
        self.between = self._between()

    def _between(self) -> list[int]:
        """The tokens between the texts of a pair: `[SEP]` of BERT, `</s></s>` of RoBERTa."""
        one, two = self._lists(["a", "b"])
        pair = self.tokenizer("a", "b")["input_ids"]
        between = list(pair[1 + len(one) : len(pair) - len(two) - 1])
        if not between or pair != [self.first, *one, *between, *two, self.last]:
            raise UserError("only tokenizers that put a separator between two texts are supported")
        return between

    def key(self) -> str:
        """Names the encoding: tokenizer, maximum length, share of the head."""
        return files.short_hash(
            [VERSION, tokenizer_hash(self.tokenizer), self.max_length, self.head]
        )

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
        inner, counts = _cut_all(*self.words(texts), room, self.head)
        offsets = _offsets(counts + 2)
        pieces = np.empty(offsets[-1], np.int32)
        pieces[offsets[:-1]], pieces[offsets[1:] - 1] = self.first, self.last
        pieces[spans(offsets[:-1] + 1, counts)] = inner
        second = np.diff(offsets).astype(np.int32)
        return Encoded(pieces, offsets, second, self.tokenizer.pad_token_id)

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
            _offsets(lengths),
            np.array(second, dtype=np.int32),
            self.tokenizer.pad_token_id,
        )

    def _lists(self, texts: list[str]) -> list[list[int]]:
        """The word pieces of each text, without special tokens."""
        pieces, offsets = self.words(texts)
        return [part.tolist() for part in np.split(pieces, offsets[1:-1])]

    def encode_split(self, task_name: str, split: Split) -> Encoded:
        """A split's word pieces, made if they are not there, read from disk as they are needed."""
        name = f"{split.name}-{split.sha256[:12]}"
        folder = paths.encoded(task_name, self.key()) / name
        with files.locked(paths.lock(f"encoded_{task_name}"), "tokenizing", wait=True):
            if not _is_whole(folder):
                self._write(split, folder)
        pad = self.tokenizer.pad_token_id
        offsets, second = (np.load(folder / file, mmap_mode="r") for file in (_OFFSETS, _SECOND))
        # still mapped from disk, but as plain arrays, of which a slice costs less
        return Encoded(Stored(folder / _PIECES), np.asarray(offsets), np.asarray(second), pad)

    def _own_mask(
        self, split: Split, texts: list[str], pairs: list[str] | None
    ) -> tuple[list[str], list[str] | None]:
        """Texts with the tokenizer's own mask in place of that of augmented rows."""
        mask = self.tokenizer.mask_token or self.tokenizer.unk_token
        if split.name != paths.AUGMENTED or mask == MASK:
            return texts, pairs
        own = [[text.replace(MASK, mask) for text in side] for side in (texts, pairs or [])]
        return own[0], own[1] if pairs else None

    def _write(self, split: Split, folder: Path) -> None:
        """Tokenizes a split into a folder, some texts at a time."""
        lengths, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        bar = tqdm(total=len(split), desc=f"tokenizing {split.name}", unit=" texts", leave=False)
        with files.replacing_folder(folder) as temporary:
            with (temporary / _PIECES).open("wb") as file:
                for texts, pairs in split.chunks(CHUNK):
                    encoded = self.encode(*self._own_mask(split, texts, pairs))
                    encoded.pieces[:].tofile(file)
                    lengths.append(encoded.lengths)
                    second.append(encoded.second)
                    bar.update(len(texts))
            if files.sha256(split.path) != split.sha256:
                raise UserError(f"{split.path} changed while it was tokenized: run this again")
            np.save(temporary / _OFFSETS, _offsets(np.concatenate(lengths)))
            np.save(temporary / _SECOND, np.concatenate(second))
        bar.close()


def _is_whole(folder: Path) -> bool:
    """Whether a folder of word pieces is there and its files are those of its manifest."""
    try:
        return files.check_folder(folder, "tokenizing again").keys() >= _FILES
    except UserError as error:
        logging.warning("%s", error)
        return False
