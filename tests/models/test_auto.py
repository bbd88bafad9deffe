"""Encoders of any architecture with some of their layers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from distillery.errors import UserError
from distillery.models import auto
from tests.models.test_freezing import CONFIGS, SIZES, AlbertConfig, classifier

INPUTS = {
    "input_ids": torch.arange(12).view(2, 6) + 5,
    "attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2]),
}


def without_layers(model: Any, kept: list[int]) -> Any:
    """The model with its other layers skipped in place: what one with fewer layers computes."""
    _, layers = auto.layers_of(model, "a test")
    remaining = [layers[number - 1] for number in kept]
    while len(layers):
        del layers[0]
    layers.extend(remaining)
    model.config.num_hidden_layers = len(kept)
    return model


@pytest.mark.parametrize(
    ("family", "kept"),
    [(family, kept) for family in CONFIGS for kept in ([1], [1, 3], [2, 3])][:-1],
)
def test_a_model_with_fewer_layers_computes_what_these_do(
    family: str, kept: list[int], tmp_path: Path
) -> None:
    config, _, _ = CONFIGS[family]
    whole = classifier(config).eval()
    student = auto.with_layers(whole, kept, dropout=0.3)
    assert len(auto.layers_of(student, "a test")[1]) == len(kept)
    assert type(student) is type(whole)
    with torch.no_grad():
        found = student.eval()(**INPUTS).logits
        student.save_pretrained(tmp_path)
        again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        torch.testing.assert_close(again.eval()(**INPUTS).logits, found)
        expected = without_layers(whole, kept)(**INPUTS).logits
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("family", CONFIGS)
def test_dropout_is_on_embeddings_and_head_alone(family: str) -> None:
    student = auto.with_layers(classifier(CONFIGS[family][0]), [1, 3], dropout=0.3)
    name, layers = auto.layers_of(student, "a test")
    inside = {*layers.modules()}
    dropouts = [module for module in student.modules() if isinstance(module, nn.Dropout)]
    assert {module.p for module in dropouts if module in inside} <= {0.0}
    assert {module.p for module in dropouts if module not in inside} <= {0.3}
    student.train()
    assert not torch.equal(student(**INPUTS).logits, student(**INPUTS).logits)


def test_random_weights_have_the_same_shapes_alone() -> None:
    whole = classifier(CONFIGS["bert"][0])
    student = auto.with_layers(whole, [1, 2], dropout=0.0, copied=False)
    words = student.bert.embeddings.word_embeddings.weight
    assert words.shape == whole.bert.embeddings.word_embeddings.weight.shape
    assert not torch.equal(words, whole.bert.embeddings.word_embeddings.weight)


def test_layers_that_are_not_alike_are_refused() -> None:
    """ModernBERT's first layer alone has no norm before its attention."""
    model = classifier(CONFIGS["modernbert"][0])
    with pytest.raises(UserError, match="layers 2,3 can't be the layers of a student"):
        auto.with_layers(model, [2, 3], dropout=0.0)


def test_an_encoder_that_shares_its_layers_is_refused() -> None:
    model = classifier(AlbertConfig(**SIZES, embedding_size=8))
    with pytest.raises(UserError, match="fewer layers needs an encoder with one list of layers"):
        auto.with_layers(model, [1], dropout=0.0)
