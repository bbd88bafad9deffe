"""Changed copies of one example, made by all methods together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from distillery.augmentation.words import below, split
from distillery.data.keys import MASK
from distillery.recipes import AugmentationRecipe

WordMethod = Callable[[str, int, Random], str]  # (word, tag, generator) -> its replacement
_SIDES_OF_PAIR = ((0,), (1,), (0, 1))


@dataclass(frozen=True)
class Text:
    """A text, or one side of a pair: its parts (`words.split`) and its words' tags, if needed."""

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


def text_of(text: str) -> Text:
    return Text(split(text))


def masked(word: str, tag: int, chance: Random) -> str:
    """The mask token, so that the teacher shows what the word was worth (Tang et al. 2019, section
    3.3, Masking)."""
    return MASK


def ngram(parts: list[str], shortest: int, longest: int, chance: Random) -> list[str]:
    """A run of n words with what is between them (Tang et al. 2019, section 3.3, n-gram sampling).

    parts: as `words.split` gives them. n is uniform in shortest..longest, at most all the words;
    the punctuation after the last word is kept. A text without words is returned unchanged.
    """
    count = len(parts) // 2
    if not count:
        return parts
    n = min(count, shortest + below(longest - shortest + 1, chance))
    start = below(count - n + 1, chance)
    closing = parts[2 * (start + n)].split(" ")[0]
    return [*parts[2 * start + 1 : 2 * (start + n)], closing]
