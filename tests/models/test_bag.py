"""The bag: which n-grams a text has, and what padding, order and segments do to it."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distillery.models import bag, registry

pieces_of = st.lists(st.integers(0, 30_000), min_size=1, max_size=12)


def make(**sizes: Any) -> Any:
    torch.manual_seed(0)
    given = {
        "vocab_size": 50,
        "embedding_size": 3,
        "buckets": 97,
        "max_length": 12,
        "num_labels": 2,
    }
    return registry.create("bag", **(given | sizes)).eval()


def ngrams(pieces: list[int], longest: int) -> list[tuple[int, ...]]:
    return [
        tuple(pieces[at : at + n])
        for n in range(1, longest + 1)
        for at in range(len(pieces) - n + 1)
    ]


@given(pieces=pieces_of, padding=st.integers(0, 3), longest=st.integers(1, 3))
def test_a_bucket_depends_on_its_ngram_alone(pieces: list[int], padding: int, longest: int) -> None:
    mask = torch.tensor([[1] * len(pieces) + [0] * padding])
    found = bag.hashed(torch.tensor([pieces + [0] * padding]), mask, longest, 1000)[0]
    real = found[found < 1000].tolist()
    expected = []
    for gram in ngrams(pieces, longest):
        alone = bag.hashed(torch.tensor([gram]), torch.ones(1, len(gram)), len(gram), 1000)[0]
        expected.append(alone.tolist()[(len(gram) - 1) * len(gram)])
    assert sorted(real) == sorted(expected)
    assert len(found) == longest * (len(pieces) + padding)


def test_buckets_are_evenly_filled() -> None:
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 30_522, (200, 256), generator=random)
    found = bag.hashed(ids, torch.ones_like(ids), 2, 1024)
    pairs = found[:, 256:][:, :255].flatten()
    counts = torch.bincount(pairs, minlength=1024).float()
    # as of a fair die: the standard deviation of a count is about the root of its mean
    assert 0.9 < float(counts.std() / counts.mean().sqrt()) < 1.1


def test_buckets_are_those_of_models_trained_before() -> None:
    """Against the definition in whole numbers of any size."""
    one, two = 668_265_263, 374_761_393

    def bucket(gram: list[int], buckets: int) -> int:
        mixed = 0
        for n, piece in enumerate(gram):
            mixed = (mixed * one + (piece + 1) * two + n) % 2**31
        return (mixed ^ mixed >> 15) * two % 2**31 % buckets

    pieces = [7, 30_521, 0, 61_043, 2**31 - 1]
    for buckets in (97, 1024, 2**20):
        ids = torch.tensor([pieces])
        found = bag.hashed(ids, torch.ones_like(ids), 3, buckets)[0].tolist()
        expected = [[bucket(list(gram), buckets) for gram in ngrams(pieces, n)[-6 + n :]]
                    for n in (1, 2, 3)]  # fmt: skip
        assert found == [*expected[0], *expected[1], buckets, *expected[2], buckets, buckets]


@torch.no_grad()
def test_without_gradients_the_vector_is_the_same() -> None:
    model, ids = make(ngrams=3), torch.randint(5, 50, (3, 7))
    mask = (torch.arange(7) < torch.tensor([[7], [1], [4]])).long()
    with torch.enable_grad():
        expected = model(ids, mask).logits
    torch.testing.assert_close(model(ids, mask).logits, expected)


def test_order_within_an_ngram_matters() -> None:
    one, other = torch.tensor([[5, 9]]), torch.tensor([[9, 5]])
    mask = torch.ones(1, 2)
    assert bag.hashed(one, mask, 2, 10**6)[0, 2] != bag.hashed(other, mask, 2, 10**6)[0, 2]


@torch.no_grad()
def test_vector_is_the_sum_over_the_root_of_the_count() -> None:
    model, ids = make(ngrams=2), torch.tensor([[4, 7, 9]])
    table = model.encoder.table.weight
    buckets = bag.hashed(ids, torch.ones_like(ids), 2, 97)[0]
    expected = table[buckets[buckets < 97]].sum(dim=0) / 5**0.5  # 3 pieces and 2 pairs
    torch.testing.assert_close(model.encoder(ids).pooler_output[0], expected)


@torch.no_grad()
def test_padding_changes_nothing() -> None:
    model, ids = make(), torch.randint(5, 50, (3, 7))
    more = torch.nn.functional.pad(ids, (0, 4))
    mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 4))
    torch.testing.assert_close(model(ids).logits, model(more, mask).logits)


def test_states_and_attentions_are_refused() -> None:
    for name in ("output_hidden_states", "output_attentions"):
        with pytest.raises(ValueError, match="has no (hidden states|attentions) to give"):
            make()(torch.tensor([[4, 5]]), **{name: True})


def test_ngrams_are_left_out_in_training_alone() -> None:
    model, ids = make(ngram_dropout=0.5), torch.randint(5, 50, (2, 12))
    assert torch.equal(model(ids).logits, model(ids).logits)
    model.train()
    assert not torch.equal(model(ids).logits, model(ids).logits)


def test_gradients_are_dense() -> None:
    """As clipping and AdamW of `transformers.Trainer` need them."""
    model = make()
    model(torch.tensor([[4, 5]])).logits.sum().backward()
    assert not model.encoder.table.weight.grad.is_sparse
