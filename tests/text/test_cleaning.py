"""Cleaning inside a tokenizer: the same word pieces as of texts cleaned beforehand, everywhere."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from distillery.models import tiny, tokenization
from distillery.preprocessing import keys
from distillery.text.encode import Reader

TEXT = "the plot<br /><BR/>was <b class='x'>great</b>, 1 < 2 <and> <\tfilm\n  at home"
PARTS = ["the plot", "<br />", "<b>", "</b>", "<i a='b'>", "<", ">", " ", "\n", "film", "<3", "&"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of BERT's that cleans markup, saved and so read by a class of transformers."""
    place = tmp_path_factory.mktemp("cleaning")
    tiny.save(place)
    tokenization.save(tokenization.load(place, "markup"), place)
    return place


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_every_way_of_reading_cleans_alike(folder: Path, text: str) -> None:
    loaded = AutoTokenizer.from_pretrained(folder)
    expected = loaded(keys.strip_markup(text))["input_ids"]
    assert loaded(text)["input_ids"] == expected
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids == expected
    reader = tokenization.reader(tokenization.load(folder), 512, 0.25)
    assert reader.encode([text, TEXT], None).pieces[: len(expected)].tolist() == expected
    backend = tokenization.load(folder).backend_tokenizer
    assert Reader(backend, 0, 512, 0.25).encode([text], None).pieces.tolist() == expected


def test_cleaning_is_added_once(folder: Path) -> None:
    first, again = (tokenization.load(folder, "markup") for _ in range(2))
    assert tokenization.fingerprint(first) == tokenization.fingerprint(again)


def test_a_tokenizer_without_cleaning_reads_markup_as_text(tiny_folder: Path) -> None:
    tokenizer = tokenization.load(tiny_folder, "none")
    assert tokenizer("a<br />b")["input_ids"] != tokenizer("a b")["input_ids"]
    spaces = tokenization.load(tiny_folder, "spaces")
    assert tokenization.fingerprint(spaces) == tokenization.fingerprint(tokenizer)


def test_a_vocabulary_made_smaller_still_cleans(folder: Path) -> None:
    from distillery.compression import vocabulary

    tokenizer = tokenization.load(folder)
    cut = vocabulary.cut_tokenizer(tokenizer, [*range(len(tokenizer) - 1)])
    assert cut("a<br />b")["input_ids"] == cut("a b")["input_ids"]
