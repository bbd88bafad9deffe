"""Masking: a word becomes the mask token, so the teacher tells what the word was worth."""

from random import Random

from distillery.data.keys import MASK


def masked(word: str, tag: int, chance: Random) -> str:
    """What stands in place of a word (Tang et al. 2019, section 3.3, Masking)."""
    return MASK
