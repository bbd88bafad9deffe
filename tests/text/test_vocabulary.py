"""A vocabulary of words."""

from pathlib import Path

from distillery.data import store
from distillery.models import tokenization


def test_words_are_counted_over_all_splits(in_smoke_home: Path, tmp_path: Path) -> None:
    splits = [store.read_split("smoke", name) for name in ("train", "unlabeled")]
    small, large = (tokenization.of_words(splits, words) for words in (5, 1000))
    assert len(small) == 10  # and five special ones
    assert set(small.get_vocab()) < set(large.get_vocab())
    text = next(splits[1].chunks(1))[0][0]
    reader = tokenization.reader(large, 32, 0.25)
    encoded = reader.encode([text, "Nowhere-Seen zzzz"], None)
    assert large.unk_token_id not in encoded.pieces[: encoded.offsets[1]]
    assert (encoded.pieces[encoded.offsets[1] + 1 : -1] == large.unk_token_id).any()
    tokenization.save(large, tmp_path)
    again = tokenization.load(tmp_path)
    assert tokenization.fingerprint(again) == tokenization.fingerprint(large)


def test_the_same_texts_give_the_same_vocabulary(in_smoke_home: Path) -> None:
    splits = [store.read_split("smoke", "train")]
    one, other = (tokenization.of_words(splits, 40).get_vocab() for _ in range(2))
    assert one == other
