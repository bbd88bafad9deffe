"""A text as words and what stands between them, so that all but the changed words stays."""

import re
from random import Random

_WORD = re.compile(r"(\w+(?:['’-]\w+)*)")


def split(text: str) -> list[str]:
    """`"So good!"` -> `["", "So", " ", "good", "!"]`: the words have the odd places."""
    return _WORD.split(text)


def below(count: int, chance: Random) -> int:
    """A whole number from 0 to count - 1; the same in every version of Python."""
    return int(chance.random() * count)
