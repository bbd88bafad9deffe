"""Changed copies of one example, by all methods together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from distillery.augmentation import masking, ngrams, words
from distillery.recipes import AugmentationRecipe

WordMethod = Callable[[str, int, Random], str]  # (word, tag, chance) -> what stands in its place
_SIDES_OF_PAIR = ((0,), (1,), (0, 1))


@dataclass(frozen=True)
class Text:
    """A text, or one side of a pair: its parts (`words.split`) and its words' tags, if needed."""

    parts: list[str]
    tags: Sequence[int] = ()


class Augmenter:
    """What a recipe makes of an example. replacement: needed where p_pos is not 0."""

    def __init__(self, recipe: AugmentationRecipe, replacement: WordMethod | None) -> None:
        self.recipe = recipe
        self.methods: list[tuple[float, WordMethod]] = [(recipe.p_mask, masking.masked)]
        if replacement:
            self.methods.append((recipe.p_pos, replacement))

    def copies(self, example: list[Text], name: str) -> Iterator[list[str]]:
        """The copies of an example, a list of its one or two texts each.

        name: of the example; with the recipe's seed it fixes the copies, so that those of a
        recipe with more copies begin with the same ones. Of a pair, the first text is changed,
        then the second, then both, in turn.
        """
        chance = Random(f"{self.recipe.seed} {name}")
        for number in range(self.recipe.copies):
            sides = _SIDES_OF_PAIR[number % 3] if len(example) == 2 else (0,)
            yield [
                self._changed(text, chance) if side in sides else "".join(text.parts)
                for side, text in enumerate(example)
            ]

    def _changed(self, text: Text, chance: Random) -> str:
        """A text whose words were each masked, replaced or kept, or an n-gram of that."""
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
            parts = ngrams.sampled(parts, recipe.ngram_min, recipe.ngram_max, chance)
        return "".join(parts)


def text_of(text: str) -> Text:
    return Text(words.split(text))
