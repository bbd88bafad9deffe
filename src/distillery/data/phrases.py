"""Parts of texts: which are phrases of others, as in a treebank, and a text's sentences."""

from collections.abc import Iterator, Sequence

from distillery import progress
from distillery.data import keys


def sentences_of(texts: Sequence[str]) -> list[set[int]]:
    """For each text the places of the sentences that hold it as a run of whole words.

    A sentence is a text that is a part of no other; it holds itself alone. Words are those of
    `keys.words`; texts have distinct keys. Time goes with the cube of a text's words, so this is
    for short ones.
    """
    words = [keys.words(text) for text in texts]
    place = {run: index for index, run in enumerate(words)}
    holders: list[set[int]] = [set() for _ in words]
    longest_first = sorted(range(len(words)), key=lambda index: -len(words[index]))
    for index in progress.bar(longest_first, desc="finding phrases", unit=" rows"):
        if holders[index]:
            continue
        run = words[index]
        for start in range(len(run)):
            for end in range(start + 1, len(run) + 1):
                part = place.get(run[start:end])
                if part is not None:
                    holders[part].add(index)
    return holders


def cut(text: str) -> Iterator[str]:
    """The sentences of a text as nltk's Punkt finds them by its rules alone, with no data
    (Kiss and Strunk 2006); what has no letter or digit is none."""
    from nltk.tokenize import PunktSentenceTokenizer

    for sentence in PunktSentenceTokenizer().tokenize(text):
        if any(map(str.isalnum, sentence)):
            yield sentence
