"""Splits as word pieces, tokenized once and kept on disk."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

from distillery import files, paths, progress
from distillery.data.keys import MASK
from distillery.data.store import Split
from distillery.errors import UserError
from distillery.text.encode import Encoded, Pieces, Reader, Stored, offsets_of
from distillery.text.words import Words

VERSION = 1  # of the encoding: raise it when the same text would give other pieces
CHUNK = 2048  # texts tokenized at once
_PIECES, _OFFSETS, _SECOND = "pieces.int32", "offsets.npy", "second.npy"


def fingerprint(backend: Any) -> str:
    """Names what a `tokenizers.Tokenizer` does: a hash of its whole state."""
    return hashlib.sha256(backend.to_str().encode()).hexdigest()[:16]


class SplitReader(Reader):
    """Reads whole splits: each distinct word goes through the tokenizer once (`Words`).

    mask: the tokenizer's own mask token, which replaces `MASK` in augmented rows.
    """

    def __init__(self, backend: Any, pad: int, max_length: int, head: float, mask: str) -> None:
        super().__init__(backend, pad, max_length, head)
        self.mask, self.words = mask, Words(backend)

    def pieces(self, texts: list[str]) -> Pieces:
        return self.words(texts)

    def key(self) -> str:
        """Names the encoding: a hash of the tokenizer and of how texts are cut."""
        return files.short_hash([VERSION, fingerprint(self.backend), self.max_length, self.head])

    def encode_split(self, task_name: str, split: Split) -> Encoded:
        """A split's word pieces, read from disk as they are needed; tokenized if they are not
        there or damaged."""
        name = f"{split.name}-{split.sha256[:12]}"
        folder = paths.encoded(task_name, self.key()) / name
        with files.locked(paths.lock(f"encoded_{task_name}"), "tokenizing", wait=True):
            if not _is_whole(folder):
                self._write(split, folder)
        offsets, second = (np.load(folder / file, mmap_mode="r") for file in (_OFFSETS, _SECOND))
        # still mapped from disk, but as plain arrays, of which a slice costs less
        return Encoded(Stored(folder / _PIECES), np.asarray(offsets), np.asarray(second), self.pad)

    def _write(self, split: Split, folder: Path) -> None:
        """Tokenizes a split into a folder, some texts at a time."""
        masked = split.name == paths.AUGMENTED
        lengths, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        bar = progress.bar(total=len(split), desc=f"tokenizing {split.name}", unit=" texts")
        with files.replacing_folder(folder) as temporary, bar:
            with (temporary / _PIECES).open("wb") as file:
                for texts, pairs in split.chunks(CHUNK):
                    if masked:
                        texts, pairs = self._own_mask(texts), pairs and self._own_mask(pairs)
                    encoded = self.encode(texts, pairs)
                    encoded.pieces[:].tofile(file)
                    lengths.append(encoded.lengths)
                    second.append(encoded.second)
                    bar.update(len(texts))
            if files.sha256(split.path) != split.sha256:
                raise UserError(f"{split.path} changed while it was tokenized: run this again")
            np.save(temporary / _OFFSETS, offsets_of(np.concatenate(lengths)))
            np.save(temporary / _SECOND, np.concatenate(second))

    def _own_mask(self, texts: list[str]) -> list[str]:
        return [text.replace(MASK, self.mask) for text in texts]


def _is_whole(folder: Path) -> bool:
    """Whether a folder of word pieces is there and its files match its manifest."""
    try:
        return files.check_folder(folder, "tokenizing again").keys() >= {_PIECES, _OFFSETS, _SECOND}
    except UserError as error:
        logging.warning("%s", error)
        return False
