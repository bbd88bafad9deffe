"""Models of one segment read pairs; those of two see which text a token is of."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from distillery import encoders
from distillery.kernels import fast_bert
from distillery.models import auto

IDS = torch.randint(5, 30, (3, 8), generator=torch.Generator().manual_seed(0))
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
TYPES = (torch.arange(8) >= 4).long().expand(3, 8)


def _model(types: int) -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(
        vocab_size=40, num_hidden_layers=2, type_vocab_size=types, initializer_range=0.5, **sizes
    )
    return BertForSequenceClassification(config).eval()


@torch.no_grad()
def test_a_model_of_one_segment_is_given_no_types() -> None:
    model = _model(1)
    bare = model(**INPUTS).logits
    auto.hide_token_types(model)
    assert torch.equal(model(**INPUTS, token_type_ids=TYPES).logits, bare)


@torch.no_grad()
def test_a_model_of_two_segments_sees_them_on_the_fast_path_too() -> None:
    model = _model(2)
    expected = model(**INPUTS, token_type_ids=TYPES).logits
    assert (expected - model(**INPUTS).logits).abs().max() > 1e-2
    auto.hide_token_types(model)
    fast_bert.use_in(model)
    torch.testing.assert_close(model(**INPUTS, token_type_ids=TYPES).logits, expected)


@torch.no_grad()
def test_texts_are_as_long_as_there_are_positions() -> None:
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    sizes |= {"vocab_size": 40, "num_hidden_layers": 1, "max_position_embeddings": 16}
    assert encoders.longest(BertConfig(**sizes)) == 16
    model = RobertaForSequenceClassification(RobertaConfig(**sizes))
    longest = encoders.longest(model.config)
    assert longest == 14
    model(input_ids=torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 5))
