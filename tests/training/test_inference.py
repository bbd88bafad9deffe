"""Answering: weights kept in bf16 change nothing of what bf16 gives."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from distillery.kernels import fast_bert
from distillery.models import registry
from distillery.students import OWN
from distillery.training import inference


@pytest.mark.parametrize("student", [*OWN, "bert"])
def test_lower_weights_give_the_logits_of_autocast(student: str) -> None:
    torch.manual_seed(0)
    if student == "bert":
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        model = BertForSequenceClassification(BertConfig(vocab_size=50, **sizes)).eval()
        fast_bert.use_in(model)
    else:
        model = registry.create(student, vocab_size=50, embedding_size=16, hidden_size=32).eval()
    batch = {
        "input_ids": torch.randint(5, 50, (3, 12)),
        "attention_mask": (torch.arange(12) < torch.tensor([[12], [7], [3]])).long(),
        "token_type_ids": torch.zeros(3, 12, dtype=torch.long),
    }
    expected = inference.forward(model, batch, "bf16")
    inference.lower(model, "fp32")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    inference.lower(model, "bf16")
    assert torch.bfloat16 in {p.dtype for p in model.parameters()}
    assert torch.equal(inference.forward(model, batch, "bf16"), expected)
