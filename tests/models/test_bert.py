"""Students of BERT's shape: plain BERT, in the sizes of the published checkpoints."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertModel,
)

from distillery.errors import UserError
from distillery.models import bert, heads
from distillery.students import STUDENTS, BertShape

SHAPE = BertShape(layers=2, width=16, heads=2, inner=24)
LABELS = {0: "bad", 1: "good"}
HEAD = heads.HEADS["classification"].config(("bad", "good"))
SIZES = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "vocab_size": 40}
PARAMETERS = {  # as published, in millions
    "bert_tiny": 4.4,
    "bert_mini": 11.2,
    "bert_small": 28.8,
    "tinybert4": 14.4,
    "distilbert": 66.4 + 0.6,  # and a pooler, which DistilBERT has in its classifier
}


def text() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 40, (2, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]])
    return {"input_ids": ids * mask, "attention_mask": mask}


@pytest.mark.parametrize("name", [name for name, row in STUDENTS.items() if row.shape])
def test_named_shapes_have_the_published_numbers_of_parameters(name: str) -> None:
    with torch.device("meta"):
        model = bert.create(
            STUDENTS[name].shape,
            vocab_size=30522,
            positions=512,
            pad_token_id=0,
            dropout=0.1,
            head=HEAD,
        )
    assert model.num_parameters() / 1e6 == pytest.approx(PARAMETERS[name], abs=0.1)
    assert STUDENTS[name].checkpoint, "a checkpoint to start from"


def test_a_saved_student_is_a_plain_bert(tmp_path: Path) -> None:
    model = bert.create(
        SHAPE, vocab_size=40, positions=32, pad_token_id=0, dropout=0.3, head=HEAD
    ).eval()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is BertForSequenceClassification
    assert loaded.config.id2label == LABELS
    assert torch.equal(loaded(**text()).logits, model(**text()).logits)


def test_dropout_is_on_the_embeddings_and_before_the_classifier() -> None:
    model = bert.create(SHAPE, vocab_size=40, positions=32, pad_token_id=0, dropout=0.3, head=HEAD)
    rates = {n: m.p for n, m in model.named_modules() if isinstance(m, torch.nn.Dropout) and m.p}
    assert rates == {"bert.embeddings.dropout": 0.3, "dropout": 0.3}


def load(folder: Path, shape: BertShape = SHAPE) -> BertForSequenceClassification:
    return bert.load(folder, shape, dropout=0.1, head=HEAD).eval()


def test_a_checkpoint_of_bert_is_loaded_with_its_head_left_out(tmp_path: Path) -> None:
    odd = {"hidden_act": "relu", "layer_norm_eps": 1e-3}
    whole = BertForPreTraining(BertConfig(**SIZES, intermediate_size=24, **odd)).eval()
    whole.save_pretrained(tmp_path)
    model = load(tmp_path)
    expected = whole.bert(**text())
    torch.testing.assert_close(model.bert(**text()).last_hidden_state, expected.last_hidden_state)
    torch.testing.assert_close(model.bert(**text()).pooler_output, expected.pooler_output)


def test_old_names_of_norms_are_read(tmp_path: Path) -> None:
    whole = BertModel(BertConfig(**SIZES, intermediate_size=24)).eval()
    torch.nn.init.normal_(whole.encoder.layer[1].output.LayerNorm.weight)
    whole.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in weights.items()
    }
    assert old.keys() != weights.keys()
    save_file(old, tmp_path / "model.safetensors", metadata={"format": "pt"})
    torch.testing.assert_close(
        load(tmp_path).bert(**text()).last_hidden_state, whole(**text()).last_hidden_state
    )


@pytest.mark.parametrize("kind", [DistilBertForMaskedLM, DistilBertModel])
def test_a_checkpoint_of_distilbert_becomes_the_same_function_as_a_bert(
    tmp_path: Path, kind: type
) -> None:
    sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
    config = DistilBertConfig(vocab_size=40, activation="relu", **sizes)
    whole = kind(config).eval()
    whole.save_pretrained(tmp_path)
    model = load(tmp_path)
    states = getattr(whole, "distilbert", whole)(**text()).last_hidden_state
    found = model.bert(**text()).last_hidden_state
    real = text()["attention_mask"].bool()
    torch.testing.assert_close(found[real], states[real])
    assert model.bert.embeddings.token_type_embeddings.weight.abs().max() == 0
    model.save_pretrained(tmp_path / "saved")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert type(loaded) is BertForSequenceClassification


def test_a_checkpoint_of_other_sizes_is_refused(tmp_path: Path) -> None:
    BertModel(BertConfig(**SIZES, intermediate_size=24)).save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match="has 2 layers of width 16 and 24 inside, 2 heads, where the student has 2"
    ):
        load(tmp_path, STUDENTS["bert_tiny"].shape)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("encoder.layer.1.output.dense.bias", "no weights for encoder.layer.1.output.dense.bias"),
        ("embeddings.word_embeddings.weight", "it has no embeddings"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path, lost: str, said: str) -> None:
    BertModel(BertConfig(**SIZES, intermediate_size=24)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights[lost]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=said):
        load(tmp_path)


def test_a_folder_without_a_bert_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    with pytest.raises(UserError, match="is of type roberta"):
        load(tmp_path)
    BertModel(BertConfig(**SIZES, intermediate_size=24)).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no whole model"):
        load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(UserError, match="holds no whole model"):
        load(tmp_path)
