"""Word pieces by table: a BERT tokenizer cuts every word by itself, so each is cut once."""

import json
import re
from array import array
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distillery.text import cleaning
from distillery.text.encode import pieces_of, spans

PUNCTUATION = r"([!-/:-@\[-`{-~])"  # of ASCII: BERT's tokenizers make each a word of its own
ROOM = 2**21  # characters of the words kept: some 60 MB


class Words:
    """The word pieces of texts, what their tokenizer gives without special tokens, in less time.

    Texts are cut at spaces and around ASCII punctuation by Arrow; a word seen before is looked
    up, a new one goes through the tokenizer. Where a tokenizer finds words in another way than
    BERT's, or a text holds an added token such as `[SEP]`, all goes through the tokenizer.
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
        """Word -> number; pieces of word n are pieces[ends[n]:ends[n + 1]]."""
        self.numbers = {"": 0}
        self.pieces, self.ends = array("i"), array("q", [0, 0])
        self.characters = 0

    def __call__(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Pieces (P,) int32 of N texts, and offsets (N + 1,) int64: text i is pieces[offsets[i]:
        offsets[i + 1]]."""
        if not self.by_word or not texts:
            return pieces_of(self.backend, texts)
        for clean in self.cleaning:
            texts = [*map(clean, texts)]
        given = pa.array(texts, pa.large_string())
        if self.added and pc.any(pc.match_substring_regex(given, self.added)).as_py():
            return pieces_of(self.backend, texts)
        split = pc.split_pattern(pc.replace_substring_regex(given, PUNCTUATION, r" \1 "), " ")
        words = split.values.dictionary_encode()
        numbers = self._numbers(words.dictionary.to_pylist())[words.indices.to_numpy()]
        ends = np.frombuffer(self.ends, np.int64)
        starts = ends[numbers]
        counts = ends[numbers + 1] - starts
        if not self.pieces:
            return np.zeros(0, np.int32), np.zeros(len(texts) + 1, np.int64)
        pieces = np.frombuffer(self.pieces, np.int32)[spans(starts, counts)]
        bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return pieces, bounds[split.offsets.to_numpy()]

    def _numbers(self, words: list[str]) -> np.ndarray:
        """The numbers (N,) of N different words; new ones are learned."""
        if self.characters > ROOM:
            self._forget()
        found = np.fromiter(map(self.numbers.get, words, repeat(-1)), np.int64, len(words))
        new = np.flatnonzero(found < 0)
        unknown = [words[at] for at in new]
        found[new] = np.arange(len(new)) + len(self.ends) - 1
        for word, encoding in zip(unknown, self._encodings(unknown), strict=True):
            self.numbers[word] = len(self.ends) - 1
            self.pieces.extend(encoding.ids)
            self.ends.append(len(self.pieces))
            self.characters += len(word)
        return found

    def _encodings(self, texts: list[str]) -> list[Any]:
        found: list[Any] = self.backend.encode_batch_fast(texts, add_special_tokens=False)
        return found
