"""Copies of one example: what is changed how often, and that the seed fixes it."""

from collections.abc import Sequence
from random import Random

import pytest

from distillery import augmentation
from distillery.augmentation import Augmenter, Text
from distillery.recipes import AugmentationRecipe

LONG = " ".join(f"w{number}" for number in range(2000)) + "."


def recipe(copies: int = 1, **changes: float) -> AugmentationRecipe:
    plain = {"p_mask": 0.0, "p_pos": 0.0, "p_ngram": 0.0}
    return AugmentationRecipe(copies=copies, **{**plain, **changes})  # type: ignore[arg-type]


def replaced(word: str, tag: int, chance: Random) -> str:
    return f"tag{tag}"


def made(recipe: AugmentationRecipe, *texts: str, name: str = "a") -> list[list[str]]:
    """All copies of an example whose words' tags are their numbers."""

    def tagged(text: Text) -> Text:
        tags: Sequence[int] = range(len(text.parts) // 2)
        return Text(text.parts, tags)

    example = [tagged(Text(augmentation.split(text))) for text in texts]
    return list(Augmenter(recipe, replaced if recipe.p_pos else None).copies(example, name))


def test_all_words_are_masked_and_the_rest_stays() -> None:
    assert made(recipe(p_mask=1.0), "So good, isn't it?") == [["[MASK] [MASK], [MASK] [MASK]?"]]


def test_all_words_are_replaced_by_their_tag() -> None:
    assert made(recipe(p_pos=1.0), "So good, isn't it?") == [["tag0 tag1, tag2 tag3?"]]


def test_a_word_is_masked_or_replaced_as_often_as_the_recipe_says() -> None:
    ((text,),) = made(recipe(p_mask=0.1, p_pos=0.3), LONG)
    found = augmentation.split(text)[1::2]
    assert len([word for word in found if word == "MASK"]) == pytest.approx(200, abs=60)
    assert len([word for word in found if word.startswith("tag")]) == pytest.approx(600, abs=90)
    assert all(word in ("MASK", f"w{place}", f"tag{place}") for place, word in enumerate(found)), (
        "each stays in its place"
    )


def test_an_ngram_of_the_masked_text_stays() -> None:
    changes = {"p_mask": 0.5, "p_ngram": 0.5}
    found = [text for (text,) in made(recipe(400, **changes), "one two three four five six")]
    short = [text for text in found if len(augmentation.split(text)) // 2 <= 5]
    assert len(short) == pytest.approx(200, abs=50)
    assert any("[MASK]" in text for text in short)
    assert any("[MASK]" in text for text in found if text not in short)


def test_copies_are_fixed_by_seed_and_example() -> None:
    usual = AugmentationRecipe(copies=5)
    assert made(usual, LONG) == made(usual, LONG)
    assert made(usual, LONG) != made(usual, LONG, name="b")
    assert made(usual, LONG) != made(AugmentationRecipe(copies=5, seed=1), LONG)


def test_more_copies_begin_with_the_same_ones() -> None:
    """So their teacher outputs need not be recorded again."""
    assert made(AugmentationRecipe(copies=9), LONG)[:5] == made(AugmentationRecipe(copies=5), LONG)


def test_sides_of_a_pair_are_changed_in_turn() -> None:
    found = made(recipe(4, p_mask=1.0), "a b", "c d.")
    masked, other = "[MASK] [MASK]", "[MASK] [MASK]."
    assert found == [[masked, "c d."], ["a b", other], [masked, other], [masked, "c d."]]
