"""Changed copies of texts for a teacher to label.

After Tang et al. 2019, Distilling Task-Specific Knowledge from BERT into Simple Neural Networks
(arXiv:1903.12136), section 3.3.
"""

import re
import zipfile
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from distillery import files, paths
from distillery.data.keys import MASK
from distillery.errors import UserError
from distillery.recipes import AugmentationRecipe

DATA = "averaged_perceptron_tagger_eng"
_MARKS = re.compile(r"(\S)\1*")
WordMethod = Callable[[str, int, Random], str]  # (word, tag, generator) -> its replacement
_SIDES_OF_PAIR = ((0,), (1,), (0, 1))
_WORD = re.compile(r"(\w+(?:['’-]\w+)*)")


def split(text: str) -> list[str]:
    """`"So good!"` -> `["", "So", " ", "good", "!"]`: words are at the odd indices."""
    return _WORD.split(text)


def below(count: int, chance: Random) -> int:
    """A whole number from 0 to count - 1; the same in every version of Python."""
    return int(chance.random() * count)


@dataclass(frozen=True)
class Text:
    """A text, or one side of a pair: its parts (`split`) and its words' tags, if needed."""

    parts: list[str]
    tags: Sequence[int] = ()


class Augmenter:
    """Makes the copies a recipe asks for. replacement: required if p_pos is not 0."""

    def __init__(self, recipe: AugmentationRecipe, replacement: WordMethod | None) -> None:
        self.recipe = recipe
        self.methods: list[tuple[float, WordMethod]] = [(recipe.p_mask, masked)]
        if replacement:
            self.methods.append((recipe.p_pos, replacement))

    def copies(self, example: list[Text], name: str) -> Iterator[list[str]]:
        """The copies of an example, a list of its one or two texts each.

        name: of the example. It seeds the copies together with the recipe's seed, so that a recipe
        with more copies starts with the same ones. In a pair the first text is changed, then the
        second, then both, in turn.
        """
        chance = Random(f"{self.recipe.seed} {name}")
        for number in range(self.recipe.copies):
            sides = _SIDES_OF_PAIR[number % 3] if len(example) == 2 else (0,)
            yield [
                self._changed(text, chance) if side in sides else "".join(text.parts)
                for side, text in enumerate(example)
            ]

    def _changed(self, text: Text, chance: Random) -> str:
        """A text with each word masked, replaced or kept, or an n-gram of that."""
        recipe, parts = self.recipe, list(text.parts)
        for place in range(1, len(parts), 2):
            drawn = chance.random()
            for probability, method in self.methods:
                if drawn < probability:
                    tag = text.tags[place // 2] if text.tags else 0
                    parts[place] = method(parts[place], tag, chance)
                    break
                drawn -= probability
        if chance.random() < recipe.p_ngram:
            parts = ngram(parts, recipe.ngram_min, recipe.ngram_max, chance)
        return "".join(parts)


def masked(word: str, tag: int, chance: Random) -> str:
    """The mask token, so that the teacher shows what the word was worth (Tang et al. 2019, section
    3.3, Masking)."""
    return MASK


def ngram(parts: list[str], shortest: int, longest: int, chance: Random) -> list[str]:
    """A run of n words with what is between them (Tang et al. 2019, section 3.3, n-gram sampling).

    parts: as `split` gives them. n is uniform in shortest..longest, at most all the words;
    the punctuation after the last word is kept. A text without words is returned unchanged.
    """
    count = len(parts) // 2
    if not count:
        return parts
    n = min(count, shortest + below(longest - shortest + 1, chance))
    start = below(count - n + 1, chance)
    closing = parts[2 * (start + n)].split(" ")[0]
    return [*parts[2 * start + 1 : 2 * (start + n)], closing]


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
        """The tags of the words in `parts` (as `split` gives them), read in their context."""
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
