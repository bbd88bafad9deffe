"""Fast tokenizing by table: BERT tokenizers cut each word by itself, so each is cut only once."""

import json
import re
from array import array
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distillery.text import cleaning
from distillery.text.encode import Pieces, offsets_of, pieces_of, spans

PUNCTUATION = r"([!-/:-@\[-`{-~])"  # of ASCII: BERT's tokenizers make each a word of its own
ROOM = 2**21  # characters of the words kept: some 60 MB


class Words:
    """A tokenizer's word pieces, without special tokens, in less time.

    Arrow splits texts at spaces and around ASCII punctuation; a known word is looked up, a new one
    goes through the tokenizer. Whole texts do if the tokenizer doesn't find words as BERT's do, or
    if a text holds an added token such as `[SEP]`.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        state = json.loads(backend.to_str())
        self.cleaning, normalizer = cleaning.leading(state["normalizer"])
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
