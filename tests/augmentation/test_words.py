"""Texts in words and what is between them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery import augmentation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So good!", ["So", "good"]),
        ("it's a well-made film -- really.", ["it's", "a", "well-made", "film", "really"]),
        ("ça, l’été 10/10", ["ça", "l’été", "10", "10"]),
        ("...", []),
        ("", []),
    ],
)
def test_words_have_the_odd_places(text: str, expected: list[str]) -> None:
    assert augmentation.split(text)[1::2] == expected


@given(st.text(max_size=50))
def test_parts_are_the_whole_text(text: str) -> None:
    parts = augmentation.split(text)
    assert "".join(parts) == text
    assert len(parts) % 2 == 1


def test_below_reaches_all_numbers_and_no_other() -> None:
    chance = Random(0)
    assert {augmentation.below(5, chance) for _ in range(200)} == set(range(5))
