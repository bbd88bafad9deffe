"""The embedded demo task's grammar: determinism, balance, no repeats, held-out words."""

from __future__ import annotations

import re

import pytest

from distillery.tasks import _demo_grammar as grammar
from distillery.tasks import demo

Data = dict[str, list[grammar.Row]]


@pytest.fixture(scope="module")
def data() -> Data:
    """The rows of seed 0, as many as the demo has."""
    return grammar.generate(0, **demo.ROWS)


def _texts(rows: list[grammar.Row]) -> list[str]:
    return [text for text, _ in rows]


def _entries(lexicon: grammar.Lexicon) -> set[str]:
    return {entry.lower() for kinds in lexicon.values() for words in kinds for entry in words}


def _occurring(entries: set[str], texts: list[str]) -> set[str]:
    """The entries that occur in the texts as whole words, without regard to case."""
    words = "|".join(f" {' '.join(re.findall('[a-z]+', text.lower()))} " for text in texts)
    return {entry for entry in entries if f" {entry} " in words}


def test_deterministic_in_the_seed() -> None:
    small = {"train": 40, "unlabeled": 30, "test": 20}
    assert grammar.generate(seed=3, **small) == grammar.generate(seed=3, **small)
    one, other = grammar.generate(seed=3, **small), grammar.generate(seed=4, **small)
    for split in small:
        assert not set(_texts(one[split])) & set(_texts(other[split]))


def test_counts_and_balance(data: Data) -> None:
    assert {split: len(rows) for split, rows in data.items()} == demo.ROWS
    for split in ("train", "test"):
        labels = [label for _, label in data[split]]
        assert labels.count(0) == labels.count(1) == len(labels) // 2
    assert {label for _, label in data["unlabeled"]} == {None}


def test_no_text_repeats_in_or_across_splits(data: Data) -> None:
    keys = [re.sub("[^a-z0-9]", "", text.lower()) for rows in data.values() for text, _ in rows]
    assert len(set(keys)) == len(keys) == sum(demo.ROWS.values())


def test_reviews_have_sentences_and_are_plain_text(data: Data) -> None:
    for rows in data.values():
        for text in _texts(rows):
            assert re.search(r"[.?!]$", text), text
            assert 8 <= len(text.split()) <= 32, text
            assert text.isascii() and text.isprintable() and text == " ".join(text.split())
            assert not re.search(r"[<>{}\[\]&#*_`\\|]", text), text


def test_held_out_words_are_missing_from_train_only(data: Data) -> None:
    held_out = _entries(grammar.HELD_OUT)
    for polarity in (grammar.NEGATIVE, grammar.POSITIVE):
        assert sum(len(words[polarity]) for words in grammar.HELD_OUT.values()) >= 100
    assert not held_out & _entries(grammar.SEEN)
    assert not _occurring(held_out, _texts(data["train"]))
    assert _occurring(held_out, _texts(data["unlabeled"])) == held_out
    assert len(_occurring(held_out, _texts(data["test"]))) > 0.9 * len(held_out)


def test_seen_words_occur_in_every_split(data: Data) -> None:
    seen = _entries(grammar.SEEN)
    for rows in data.values():
        assert len(_occurring(seen, _texts(rows))) > 0.9 * len(seen)
