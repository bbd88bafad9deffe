"""Phrases: which texts hold which, and a dev split of whole sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.data import sources, splits, spool
from distillery.data.task import Example
from distillery.errors import UserError
from distillery.recipes import DataRecipe
from tests.splitting import make


def test_a_phrase_is_held_by_the_sentences_that_have_its_words_in_a_run() -> None:
    texts = ["a fine film .", "fine film", "fine", "a film", "no fine day", "film"]
    assert splits.sentences_of(texts) == [{0}, {0}, {0, 4}, {3}, {4}, {0, 3}]


def test_parts_of_words_are_no_phrases() -> None:
    assert splits.sentences_of(["unfair", "fair", "air"]) == [{0}, {1}, {2}]


@given(st.sets(st.text("ab ", min_size=1, max_size=8).filter(str.strip), max_size=12))
def test_sentences_are_the_texts_that_no_other_holds(found: set[str]) -> None:
    texts = sorted({" ".join(text.split()) for text in found})
    padded = [f" {text} " for text in texts]
    sentences = {
        place
        for place, text in enumerate(padded)
        if not any(text in other and text != other for other in padded)
    }
    for place, holders in enumerate(splits.sentences_of(texts)):
        assert holders == {other for other in sentences if padded[place] in padded[other]}


def treebank() -> sources.Splits:
    """40 sentences of 4 words, each with 2 phrases of its own; one phrase is in all of them."""
    texts = ["same"]
    for n in range(40):
        texts += [f"same x{n} y{n} z{n}", f"x{n} y{n}", f"z{n}"]
    train = [Example(row, text, label=row % 2) for row, text in enumerate(texts)]
    return {"train": train, "test": [Example(0, "other", label=0), Example(1, "words", label=1)]}


def test_dev_of_sentences_leaves_none_of_their_own_phrases_in_train() -> None:
    made, dropped = make(
        treebank(), DataRecipe(same_text="letters", dev_rows=10, dev_from="sentences")
    )
    assert len(made["dev"]) == 10
    assert all(len(row.text.split()) == 4 for row in made["dev"])
    in_dev = " ".join(row.text for row in made["dev"]).split()
    assert [
        row.text for row in made["train"] if set(row.text.split()) & set(in_dev) - {"same"}
    ] == []
    assert "same" in [row.text for row in made["train"]]
    assert len(made["train"]) == 1 + 30 * 3
    assert dropped["train rows that are phrases of dev or test alone"] == 20


def test_marks_and_case_hide_no_phrase() -> None:
    assert splits.sentences_of(["A fine , fine film .", "FINE fine", "...", "( fine )"]) == [
        *({0}, {0}, {2}, {0})
    ]


def test_of_a_sentence_with_and_without_its_mark_the_longer_row_stays() -> None:
    found = treebank()
    sentences = [row for row in found["train"] if row.text.startswith("same ")]
    found["train"] += [row._replace(row=200 + row.row, text=f"{row.text} .") for row in sentences]
    made, dropped = make(found, DataRecipe(same_text="letters", dev_rows=10, dev_from="sentences"))
    assert dropped["train rows that repeat another"] == 40
    whole = [row for row in made["dev"] + made["train"] if row.text.startswith("same ")]
    assert len(whole) == 40
    assert all(row.text.endswith(" .") and row.row >= 200 for row in whole)


def test_phrases_of_sentences_of_test_or_under_two_labels() -> None:
    found = treebank()
    found["test"] += [Example(2, "Same x0 y0 z0 .", label=0)]
    found["train"] += [found["train"][4]._replace(row=500, label=1 - found["train"][4].label)]
    made, dropped = make(found, DataRecipe(same_text="letters", dev_rows=10, dev_from="sentences"))
    left = {row.text for row in made["train"] + made["dev"]}
    assert not left & {"same x0 y0 z0", "x0 y0", "z0"}, "they show parts of test"
    assert "same x1 y1 z1" not in left
    assert {"x1 y1", "z1"} <= {row.text for row in made["train"]}, "no sentences of dev"
    assert dropped["train rows that are phrases of dev or test alone"] == 22


def test_phrases_of_test_go_where_its_sentence_does_not_stand_in_train() -> None:
    found = treebank()
    found["test"] += [Example(2, "never seen x0 y0 here", label=0)]
    texts = ["never seen", "here", "same"]
    found["train"] += [Example(600 + n, text, label=0) for n, text in enumerate(texts)]
    made, dropped = make(found, DataRecipe(same_text="letters", dev_rows=10, dev_from="sentences"))
    left = {row.text for row in made["train"] + made["dev"]}
    assert not left & {"never seen", "here"}
    assert "same" in left, "sentences of train have it too"
    assert dropped["train rows that are phrases of dev or test alone"] == 22


def test_dev_of_rows_drops_no_phrase() -> None:
    made, dropped = make(treebank(), DataRecipe(same_text="letters", dev_rows=10))
    assert len(made["train"]) == 121 - 10
    assert not any("phrases" in reason for reason in dropped)


def test_dev_is_a_tenth_of_the_sentences() -> None:
    made, _ = make(treebank(), DataRecipe(same_text="letters", dev_from="sentences"))
    assert len(made["dev"]) == 4


def test_pairs_have_no_phrases() -> None:
    pairs = [Example(row, f"a {row}", f"b {row}", row % 2) for row in range(40)]
    with pytest.raises(UserError, match="dev_from sentences is for single texts"):
        make({**treebank(), "train": pairs}, DataRecipe(same_text="letters", dev_from="sentences"))


def test_an_unknown_source_of_dev_is_refused() -> None:
    with pytest.raises(UserError, match="dev_from"):
        DataRecipe(dev_from="words")


def test_a_text_is_cut_at_its_sentences_and_marks_alone_are_none() -> None:
    text = 'A film of 3.5 stars... it drags. Why?! Because "he said so." ! I left.'
    found = list(spool.sentences(text))
    assert found == [
        "A film of 3.5 stars... it drags.",
        "Why?!",
        'Because "he said so."',
        "I left.",
    ]


@given(st.text('aB .!?"', max_size=30))
def test_cutting_loses_no_letter(text: str) -> None:
    letters = [letter for part in spool.sentences(text) for letter in part if letter.isalnum()]
    assert letters == [letter for letter in text if letter.isalnum()]


def test_unlabeled_texts_become_sentences_and_none_stands_in_another_split() -> None:
    review = "It was fine. It was fine. other. New words here!"
    raw = {**treebank(), "unlabeled": [Example(0, review), Example(1, "same x0 y0 z0")]}
    made, dropped = make(
        raw, DataRecipe(same_text="letters", dev_rows=10, unlabeled_as="sentences")
    )
    assert [row.text for row in made["unlabeled"]] == ["It was fine.", "New words here!"]
    assert [row.row for row in made["unlabeled"]] == [0, 3]
    assert dropped["unlabeled rows also in test"] == 1  # "other"
    assert dropped["unlabeled rows that repeat another"] == 1
    assert dropped["unlabeled rows also in train or dev"] == 1
    whole, _ = make(raw, DataRecipe(same_text="letters", dev_rows=10))
    assert [row.text for row in whole["unlabeled"]] == [review]


def test_unlabeled_pairs_are_not_cut() -> None:
    raw = {**treebank(), "unlabeled": [Example(0, "a b.", "c d.")]}
    with pytest.raises(UserError, match="unlabeled_as sentences is for single texts"):
        make(raw, DataRecipe(same_text="letters", dev_rows=10, unlabeled_as="sentences"))


def test_a_dev_of_sentences_needs_a_test_split() -> None:
    with pytest.raises(UserError, match="--test-data"):
        make({"train": treebank()["train"]}, DataRecipe(same_text="letters", dev_from="sentences"))


def test_unlabeled_texts_as_anything_else_are_refused() -> None:
    with pytest.raises(UserError, match="unlabeled_as"):
        DataRecipe(unlabeled_as="words")
