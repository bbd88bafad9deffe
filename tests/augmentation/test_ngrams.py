"""n-grams: words in a row, with what is between them."""

from random import Random

import pytest

from distillery import augmentation
from distillery.augmentation import ngram

TEXT = 'He said: "no, thanks." Then (at last) he left!'
WORDS = augmentation.split(TEXT)[1::2]


def sampled(text: str, shortest: int, longest: int, seed: int) -> str:
    return "".join(ngram(augmentation.split(text), shortest, longest, Random(seed)))


def test_every_ngram_of_every_length_is_drawn() -> None:
    found = {tuple(augmentation.split(sampled(TEXT, 1, 3, seed))[1::2]) for seed in range(500)}
    expected = {
        tuple(WORDS[start : start + n]) for n in (1, 2, 3) for start in range(len(WORDS) - n + 1)
    }
    assert found == expected


@pytest.mark.parametrize("seed", range(20))
def test_an_ngram_is_a_piece_of_the_text_from_a_word_to_its_mark(seed: int) -> None:
    found = sampled(TEXT, 2, 4, seed)
    assert found in TEXT
    assert found == found.strip()
    assert TEXT.endswith(found) or TEXT[TEXT.index(found) + len(found)] == " "


def test_a_short_text_stays_whole() -> None:
    assert sampled("So good!", 32, 128, 0) == "So good!"


@pytest.mark.parametrize("text", ["", "...", ":-)"])
def test_a_text_without_words_stays(text: str) -> None:
    assert sampled(text, 1, 5, 0) == text
