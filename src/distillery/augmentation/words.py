"""A text as words and what is between them, so that only the changed words change."""

import re
from random import Random

_WORD = re.compile(r"(\w+(?:['’-]\w+)*)")


def split(text: str) -> list[str]:
    """`"So good!"` -> `["", "So", " ", "good", "!"]`: words are at the odd indices."""
    return _WORD.split(text)


def below(count: int, chance: Random) -> int:
    """A whole number from 0 to count - 1; the same in every version of Python."""
    return int(chance.random() * count)
