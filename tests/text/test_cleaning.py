"""Cleaning inside a tokenizer: the same word pieces as of texts cleaned beforehand, everywhere."""

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from distillery import encoders
from distillery.data import keys
from distillery.models import tokenization
from distillery.text.encode import Reader

TEXT = "the plot<br /><BR/>was <b class='x'>great</b>, 1 < 2 <and> <\tfilm\n  at home"
PARTS = [
    "\x85",
    "\x1c",
    "\xa0",
    "\u3000",
    "the plot",
    "<br />",
    "<b>",
    "</b>",
    "<i a='b'>",
    "<",
    ">",
    " ",
    "\n",
    "film",
    "<3",
    "&",
]


@functools.cache
def load(folder: Path, clean: str) -> Any:
    return tokenization.load(folder, clean)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of BERT's that cleans markup, saved and so read by a class of transformers."""
    place = tmp_path_factory.mktemp("cleaning")
    encoders.save_tiny(place)
    tokenization.save(tokenization.load(place, "markup"), place)
    return place


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_every_way_of_reading_cleans_alike(folder: Path, text: str) -> None:
    loaded = load(folder, "none")
    expected = loaded(keys.strip_markup(text))["input_ids"]
    assert loaded(text)["input_ids"] == expected
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids == expected
    reader = tokenization.reader(loaded, 512, 0.25)
    assert reader.encode([text, TEXT], None).pieces[: len(expected)].tolist() == expected
    backend = loaded.backend_tokenizer
    assert Reader(backend, 0, 512, 0.25).encode([text], None).pieces.tolist() == expected


def test_transformers_loads_the_cleaning(folder: Path) -> None:
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded(TEXT)["input_ids"] == loaded(keys.strip_markup(TEXT))["input_ids"]


def test_cleaning_is_added_once(folder: Path) -> None:
    first, again = (tokenization.load(folder, "markup") for _ in range(2))
    assert tokenization.fingerprint(first) == tokenization.fingerprint(again)


def test_a_tokenizer_without_cleaning_reads_markup_as_text(tiny_folder: Path) -> None:
    tokenizer = tokenization.load(tiny_folder, "none")
    assert tokenizer("a<br />b")["input_ids"] != tokenizer("a b")["input_ids"]


@given(st.text())
def test_white_space_is_folded_in_a_tokenizer_as_in_stage_1(tiny_folder: Path, text: str) -> None:
    spaces, plain = (load(tiny_folder, clean) for clean in ("spaces", "none"))
    assert spaces(text)["input_ids"] == plain(keys.fold_spaces(text))["input_ids"]


def test_a_vocabulary_made_smaller_still_cleans(folder: Path) -> None:
    from distillery.compression import prune

    tokenizer = tokenization.load(folder)
    cut = prune.cut_tokenizer(tokenizer, [*range(len(tokenizer) - 1)])
    assert cut("a<br />b")["input_ids"] == cut("a b")["input_ids"]
