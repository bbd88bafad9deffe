"""Word pieces by table are those of the tokenizer, whatever the text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertTokenizerFast

from distillery.text import encode, splits
from distillery.text.splits import Words

VOCABULARY = Path(__file__).resolve().parents[3] / "shared/data/bert-base-uncased-vocab.txt"
# Letters, accents that stand alone, spaces and controls of several kinds, signs that fall apart
# into ASCII and an accent, Chinese, an emoji, and pieces of added tokens.
ALPHABET = [*"aZé9 \t\n.,'[]<_≠ßİ中🙂", "[SEP]", "[mask]", "film", "##s", " the ", "…", "Σ", "ﬁ"]
ALPHABET += ["\u0301", "\u00a0", "\u2028", "\x1c", "\x85", "\x00", "\u200d"]
any_text = st.lists(st.sampled_from(ALPHABET), max_size=30).map("".join) | st.text(max_size=40)


def backend(**options: Any) -> Any:
    """bert-base-uncased's where its vocabulary is at hand, else one of a few words."""
    if VOCABULARY.is_file():
        names = VOCABULARY.read_text(encoding="utf-8").split("\n")[:30522]
    else:
        names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"azefilmst.,'[]<_é中", "##s", "##a"]
    vocabulary = {name: number for number, name in enumerate(names)}
    return BertTokenizerFast(vocab=vocabulary, **options).backend_tokenizer


LEVEL = Tokenizer(models.WordLevel({"[UNK]": 0, "film": 1, "e": 2, "a": 3}, "[UNK]"))
LEVEL.normalizer, LEVEL.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
UNCASED, OF_WORDS = Words(backend()), Words(LEVEL)
CASED = Words(backend(do_lower_case=False, strip_accents=False))


def expected(table: Words, texts: list[str]) -> list[list[int]]:
    return [table.backend.encode(text, add_special_tokens=False).ids for text in texts]


def found(table: Words, texts: list[str]) -> list[list[int]]:
    pieces, counts = table(texts)
    assert pieces.dtype == np.int32
    assert len(counts) == len(texts)
    return [part.tolist() for part in np.split(pieces, np.cumsum(counts)[:-1])] if texts else []


@pytest.mark.parametrize("table", [UNCASED, CASED, OF_WORDS], ids=["uncased", "cased", "words"])
@settings(deadline=None)
@given(st.lists(any_text, max_size=4))
def test_pieces_are_those_of_the_tokenizer(table: Words, texts: list[str]) -> None:
    assert table.by_word
    for _ in range(2):  # of new words, then of known ones
        assert found(table, texts) == expected(table, texts)


def test_a_word_goes_through_the_tokenizer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Words(backend())
    asked: list[str] = []

    def counted(backend: Any, texts: list[str]) -> encode.Pieces:
        asked.extend(texts)
        return encode.pieces_of(backend, texts)

    monkeypatch.setattr(splits, "pieces_of", counted)
    table(["a film, a film"])
    table(["film a"])
    assert sorted(asked) == [",", "a", "film"]


def test_words_are_forgotten_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "ROOM", 8)
    table = Words(backend())
    for text in ("abc defgh ijk", "lm no", "abc lm"):
        assert found(table, [text]) == expected(table, [text])
    assert len(table.numbers) <= 5


def test_added_words_are_left_to_the_tokenizer() -> None:
    tokenizer = backend()
    tokenizer.add_tokens(["unheard-of"])
    table = Words(tokenizer)
    assert not table.by_word
    assert found(table, ["an unheard-of film", ""]) == expected(table, ["an unheard-of film", ""])
