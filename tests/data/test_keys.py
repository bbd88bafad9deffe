"""Cleaning and keys: what counts as the same text."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from distillery.data import keys


def test_clean_drops_markup_and_folds_white_space() -> None:
    assert keys.strip_markup(" a<br /><br/>b\n\t<B class='x'>c</B> ") == "a b c"


def test_clean_keeps_what_only_looks_like_markup() -> None:
    for text in ("1 < 2 > 0, <3 and <unknown>", "if a <b and c> d then stop", "Map<A,B>"):
        assert keys.strip_markup(text) == text


def test_key_ignores_markup_case_punctuation_and_blanks() -> None:
    assert keys.letters("A <br />good-FILM!") == keys.letters("a good film") == "agoodfilm"


def test_key_folds_case_beyond_ascii() -> None:
    assert keys.letters("STRASSE Éa") == keys.letters("straße éA")


def test_key_keeps_letters_of_every_script_apart() -> None:
    assert keys.letters("好") != keys.letters("坏")


def test_texts_without_letters_are_their_own_key() -> None:
    assert keys.letters(":-)") != keys.letters(":-(")
    assert keys.letters(":-)") == ":-)"


def test_pair_is_another_example_than_its_texts_joined() -> None:
    names = {
        keys.letters("ab"),
        keys.letters("a", "b"),
        keys.letters("b", "a"),
        keys.letters("ab", ""),
        keys.letters("", "ab"),
    }
    assert len(names) == 5


def test_id_is_blake2b_of_the_text() -> None:
    # printf abc | b2sum --length 64
    assert keys.example_id(" abc ") == "d8bb14d833d59559"


def test_exact_keys_keep_pairs_apart() -> None:
    pairs = [("ab", None), ("a", "b"), ("b", "a"), ("ab", ""), ("", "ab"), ("a\x1fb", "c")]
    assert len({keys.exact(*pair) for pair in [*pairs, ("a", "b\x1fc")]}) == len(pairs) + 1


@given(st.text(), st.text())
def test_exact_keys_are_equal_only_for_equal_texts(one: str, other: str) -> None:
    same = unicodedata.normalize("NFC", one).strip() == unicodedata.normalize("NFC", other).strip()
    assert (keys.exact(one) == keys.exact(other)) == same


@given(st.text())
def test_spaces_are_all_that_folding_them_changes(text: str) -> None:
    assert keys.fold_spaces(text).split() == text.split()
    assert keys.CLEAN["none"](text) == text


@given(st.text(), st.sampled_from([" ", "\n", "<br />", "...", "\u200b"]))
def test_what_stands_around_letters_changes_no_key(text: str, around: str) -> None:
    assert keys.letters(f"a{text}") == keys.letters(f"{around}a{text}{around}")


@given(st.text(alphabet=st.characters(categories=["Ll", "Nd", "Zs"])))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert keys.strip_markup(keys.strip_markup(text)) == keys.strip_markup(text)
