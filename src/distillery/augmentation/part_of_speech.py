"""Part-of-speech-guided replacement: a word becomes another one of its kind."""

import re
import zipfile
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from distillery import files, paths
from distillery.augmentation.words import below
from distillery.errors import UserError

DATA = "averaged_perceptron_tagger_eng"
_MARKS = re.compile(r"(\S)\1*")


class Tagger:
    """nltk's averaged perceptron with the Penn Treebank's tags, for English.

    tags: their names in order; a tag is its place there. key: names the tagger's weights.
    Raises UserError where nltk's data is not there; nltk fetches it, and reads JSON only.
    """

    def __init__(self) -> None:
        import nltk
        from nltk.tag.perceptron import PerceptronTagger

        if str(paths.nltk()) not in nltk.data.path:
            nltk.data.path.append(str(paths.nltk()))
        try:
            self._tagger = PerceptronTagger()
        except (LookupError, OSError, ValueError, zipfile.BadZipFile):
            fetch = paths.script_or("./download_requirements.sh --nltk", "fetch --nltk")
            raise UserError(
                f"p_pos needs nltk's {DATA}, which is not there: leave p_pos at 0, or fetch it"
                f" with {fetch}"
            ) from None
        weights, known, tags = self._tagger.encode_json_obj()
        self.tags = sorted(tags)
        self.key = files.short_hash([weights, known, self.tags])
        self._place = {tag: place for place, tag in enumerate(self.tags)}

    def tag(self, parts: list[str]) -> list[int]:
        """The tags of the words in `parts` (as `words.split` gives them), read in their context."""
        tokens: list[str] = []
        places = []
        for index, part in enumerate(parts):
            if index % 2:
                places.append(len(tokens))
                tokens.append(part)
            else:
                tokens += [match.group() for match in _MARKS.finditer(part)]
        found = self._tagger.tag(tokens)
        return [self._place[found[place][1]] for place in places]


class Replacement:
    """Draws a word of a tag as often as the texts have it (Tang et al. 2019, section 3.3,
    POS-guided word replacement): it may be the same word again."""

    def __init__(self) -> None:
        self._counts: dict[int, Counter[str]] = defaultdict(Counter)
        self._drawn: dict[int, tuple[list[str], list[int]]] = {}

    def count(self, words: Sequence[str], tags: Sequence[int]) -> None:
        """Takes in the words of a text and their tags."""
        for word, tag in zip(words, tags, strict=True):
            self._counts[tag][word] += 1

    def __call__(self, word: str, tag: int, chance: Random) -> str:
        """What stands in place of `word`; all texts are counted by then."""
        if tag not in self._drawn:
            counts = sorted(self._counts.pop(tag).items())
            self._drawn[tag] = [w for w, _ in counts], list(accumulate(n for _, n in counts))
        words, sums = self._drawn[tag]
        return words[bisect(sums, below(sums[-1], chance))]
