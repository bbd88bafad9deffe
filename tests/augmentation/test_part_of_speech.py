"""Parts of speech: words in their context, replaced by words of their kind."""

from collections import Counter
from random import Random

import pytest

from distillery import augmentation
from distillery.augmentation import Replacement, Tagger
from distillery.errors import UserError


def test_the_words_of_a_text_are_tagged_not_its_marks(tagger_data: None) -> None:
    tagger = Tagger()
    parts = augmentation.split('The film, "the plot"... was great!')
    tags = [tagger.tags[tag] for tag in tagger.tag(parts)]
    assert tags == ["DT", "NN", "DT", "NN", "VBD", "JJ"]
    assert tagger.tag(augmentation.split("...")) == tagger.tag([""]) == []


def test_a_tagger_is_named_by_its_weights(tagger_data: None) -> None:
    assert Tagger().key == Tagger().key


def test_missing_data_is_named_with_the_command_that_fetches_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nltk.data.path", [])
    with pytest.raises(UserError, match="download_requirements.sh --nltk") as caught:
        Tagger()
    assert "\n" not in str(caught.value)


def test_words_are_drawn_of_their_tag_as_often_as_they_occur() -> None:
    replacement = Replacement()
    replacement.count(["film", "good", "plot", "film", "film"], [1, 0, 1, 1, 1])
    replacement.count(["bad", "film"], [0, 1])
    chance = Random(0)
    nouns = Counter(replacement("cast", 1, chance) for _ in range(1000))
    assert set(nouns) == {"film", "plot"}
    assert nouns["film"] == pytest.approx(800, abs=60)
    assert {replacement("good", 0, chance) for _ in range(50)} == {"good", "bad"}
