"""Cleaning and keys: what counts as the same text."""

from hypothesis import given
from hypothesis import strategies as st

from distillery.preprocessing import keys


def test_clean_drops_markup_and_folds_white_space() -> None:
    assert keys.clean(" a<br /><br/>b\n\t<B class='x'>c</B> ") == "a b c"


def test_clean_keeps_what_only_looks_like_markup() -> None:
    assert keys.clean("1 < 2 > 0, <3 and <unknown>") == "1 < 2 > 0, <3 and <unknown>"


def test_key_ignores_markup_case_punctuation_and_blanks() -> None:
    assert keys.key("A <br />good-FILM!") == keys.key("a good film") == "agoodfilm"


def test_key_folds_case_beyond_ascii() -> None:
    assert keys.key("STRASSE Éa") == keys.key("straße éA")


def test_key_keeps_letters_of_every_script_apart() -> None:
    assert keys.key("好") != keys.key("坏")


def test_texts_without_letters_are_their_own_key() -> None:
    assert keys.key(":-)") != keys.key(":-(")
    assert keys.key(":-)") == ":-)"


def test_pair_is_another_example_than_its_texts_joined() -> None:
    names = {
        keys.key("ab"),
        keys.key("a", "b"),
        keys.key("b", "a"),
        keys.key("ab", ""),
        keys.key("", "ab"),
    }
    assert len(names) == 5


def test_id_is_blake2b_of_the_key() -> None:
    # printf abc | b2sum --length 64
    assert keys.example_id("abc") == "d8bb14d833d59559"


@given(st.text(), st.sampled_from([" ", "\n", "<br />", "...", "\u200b"]))
def test_what_stands_around_letters_changes_no_key(text: str, around: str) -> None:
    assert keys.key(f"a{text}") == keys.key(f"{around}a{text}{around}")


@given(st.text(alphabet=st.characters(categories=["Ll", "Nd", "Zs"])))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert keys.clean(keys.clean(text)) == keys.clean(text)
