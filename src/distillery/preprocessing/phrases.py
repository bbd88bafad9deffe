"""Which texts of a split are parts of others, as the phrases of a treebank are."""

from collections.abc import Sequence

from tqdm import tqdm


def sentences_of(texts: Sequence[str]) -> list[set[int]]:
    """For each text the places of the sentences that hold it as a run of whole words.

    A sentence is a text that is a part of no other; it holds itself alone. Texts are distinct.
    Time and lookups go with the square of a text's words, so this is for short ones.
    """
    words = [tuple(text.split()) for text in texts]
    place = {run: index for index, run in enumerate(words)}
    holders: list[set[int]] = [set() for _ in words]
    longest_first = sorted(range(len(words)), key=lambda index: -len(words[index]))
    for index in tqdm(longest_first, "finding phrases", unit=" rows", leave=False):
        if holders[index]:
            continue
        run = words[index]
        for start in range(len(run)):
            for end in range(start + 1, len(run) + 1):
                part = place.get(run[start:end])
                if part is not None:
                    holders[part].add(index)
    return holders
