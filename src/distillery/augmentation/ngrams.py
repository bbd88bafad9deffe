"""n-gram sampling: of an example only some words in a row stay, a harsher masking."""

from random import Random

from distillery.augmentation.words import below


def sampled(parts: list[str], shortest: int, longest: int, chance: Random) -> list[str]:
    """A run of n words and what is between them (Tang et al. 2019, section 3.3, n-gram sampling).

    parts: as `words.split` gives them. n is uniform in shortest..longest, at most all the words;
    the mark that closes the last word stays. A text without words is given back.
    """
    count = len(parts) // 2
    if not count:
        return parts
    n = min(count, shortest + below(longest - shortest + 1, chance))
    start = below(count - n + 1, chance)
    closing = parts[2 * (start + n)].split(" ")[0]
    return [*parts[2 * start + 1 : 2 * (start + n)], closing]
