"""Splits as word pieces, tokenized once and kept on disk; cleaning is part of the tokenizer."""

import hashlib
import json
import logging
import re
from array import array
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Regex, Tokenizer, normalizers

from distillery import files, paths, progress
from distillery.data import keys
from distillery.data.store import Split
from distillery.errors import UserError
from distillery.text.encode import Encoded, Pieces, Reader, Stored, offsets_of, pieces_of, spans

VERSION = 1  # of the encoding: raise it when the same text would give other pieces
CHUNK = 2048  # texts tokenized at once
_PIECES, _OFFSETS, _SECOND = "pieces.int32", "offsets.npy", "second.npy"
PUNCTUATION = r"([!-/:-@\[-`{-~])"  # of ASCII: BERT's tokenizers make each a word of its own
ROOM = 2**21  # characters of the words kept: some 60 MB
_STEPS = {"none": (), "spaces": (keys.SPACE,), "markup": (keys.TAG, keys.SPACE)}
_FUNCTIONS = {keys.TAG: keys.cut_tags, keys.SPACE: keys.single_spaces}


def fingerprint(backend: Any) -> str:
    """Names what a `tokenizers.Tokenizer` does: a hash of its whole state."""
    return hashlib.sha256(backend.to_str().encode()).hexdigest()[:16]


def put_cleaning_in(backend: Tokenizer, clean: str) -> bool:
    """Makes a tokenizer clean texts as the data recipe's `clean` says. True if that changed it."""
    if not _STEPS[clean] or leading_cleaning(json.loads(backend.to_str())["normalizer"])[0]:
        return False
    own = backend.normalizer
    backend.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(Regex(pattern), " ") for pattern in _STEPS[clean]),
            normalizers.Strip(),
            *([own] if own else []),
        ]
    )
    return True


def leading_cleaning(
    state: dict[str, Any] | None,
) -> tuple[list[Callable[[str], str]], dict[str, Any]]:
    """The cleaning steps that a normalizer (as JSON) begins with, as functions, and the rest of the
    normalizer."""
    if not state or state["type"] != "Sequence":
        return [], state or {}
    steps: list[Callable[[str], str]] = []
    parts = state["normalizers"]
    while (
        parts and parts[0]["type"] == "Replace" and parts[0]["pattern"].get("Regex") in _FUNCTIONS
    ):
        steps.append(_FUNCTIONS[parts[0]["pattern"]["Regex"]])
        parts = parts[1:]
    if steps and parts and parts[0]["type"] == "Strip":
        steps.append(str.strip)
        parts = parts[1:]
    rest = parts[0] if len(parts) == 1 else {"type": "Sequence", "normalizers": parts}
    return steps, rest


class Words:
    """A tokenizer's word pieces, without special tokens, in less time.

    Arrow splits texts at spaces and around ASCII punctuation; a known word is looked up, a new one
    goes through the tokenizer. Whole texts do if the tokenizer doesn't find words as BERT's do, or
    if a text holds an added token such as `[SEP]`.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        state = json.loads(backend.to_str())
        self.cleaning, normalizer = leading_cleaning(state["normalizer"])
        kinds = [normalizer.get("type"), (state["pre_tokenizer"] or {}).get("type")]
        added = state["added_tokens"]
        cut_by_word = kinds == ["BertNormalizer", "BertPreTokenizer"]
        self.by_word = cut_by_word and not any(token["normalized"] for token in added)
        self.added = "|".join(re.escape(token["content"]) for token in added)
        self._forget()

    def _forget(self) -> None:
        # word -> number; the pieces of word n are pieces[ends[n]:ends[n + 1]]
        self.numbers = {"": 0}
        self.pieces, self.ends = array("i"), array("q", [0, 0])
        self.characters = 0

    def __call__(self, texts: list[str]) -> Pieces:
        """The word pieces of N texts."""
        if not self.by_word or not texts:
            return pieces_of(self.backend, texts)
        for clean in self.cleaning:
            texts = [*map(clean, texts)]
        column = pa.array(texts, pa.large_string())
        if self.added and pc.any(pc.match_substring_regex(column, self.added)).as_py():
            return pieces_of(self.backend, texts)
        split = pc.split_pattern(pc.replace_substring_regex(column, PUNCTUATION, r" \1 "), " ")
        words = split.values.dictionary_encode()
        numbers = self._numbers(words.dictionary.to_pylist())[words.indices.to_numpy()]
        ends = np.array(self.ends)
        counts = ends[numbers + 1] - ends[numbers]  # of the pieces of each word
        pieces = np.array(self.pieces, np.int32)[spans(ends[numbers], counts)]
        return pieces, np.diff(offsets_of(counts)[split.offsets.to_numpy()])

    def _numbers(self, words: list[str]) -> np.ndarray:
        """The numbers (N,) of N different words; new ones are learned."""
        if self.characters > ROOM:
            self._forget()
        numbers = np.fromiter(map(self.numbers.get, words, repeat(-1)), np.int64, len(words))
        new = np.flatnonzero(numbers < 0)
        numbers[new] = np.arange(len(new)) + len(self.numbers)
        unknown = [words[at] for at in new]
        pieces, counts = pieces_of(self.backend, unknown)
        self.numbers.update(zip(unknown, numbers[new].tolist(), strict=True))
        self.ends.extend((np.cumsum(counts) + len(self.pieces)).tolist())
        self.pieces.extend(pieces.tolist())
        self.characters += sum(map(len, unknown))
        return numbers


class SplitReader(Reader):
    """Reads whole splits: each distinct word goes through the tokenizer once (`Words`).

    mask: the tokenizer's own mask token, which replaces `keys.MASK` in augmented rows.
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
        return [text.replace(keys.MASK, self.mask) for text in texts]


def _is_whole(folder: Path) -> bool:
    """Whether a folder of word pieces is there and its files match its manifest."""
    try:
        return files.check_folder(folder, "tokenizing again").keys() >= {_PIECES, _OFFSETS, _SECOND}
    except UserError as error:
        logging.warning("%s", error)
        return False
