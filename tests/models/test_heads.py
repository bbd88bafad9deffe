"""The head that a model of a kind of task gets."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from distillery.errors import UserError
from distillery.kinds import KINDS
from distillery.models import registry, tokenization
from distillery.models.heads import HEADS


def test_every_kind_has_a_head() -> None:
    assert HEADS.keys() == KINDS.keys()


def test_an_encoder_gets_an_output_per_label(tiny_folder: Path) -> None:
    model = HEADS["classification"].load(tiny_folder, ("bad", "fair", "good"))
    assert model.config.id2label == {0: "bad", 1: "fair", 2: "good"}
    assert model.config.label2id == {"bad": 0, "fair": 1, "good": 2}
    assert model(torch.tensor([[2, 3]])).logits.shape == (1, 3)
    with pytest.raises(UserError, match="holds no whole model"):
        HEADS["classification"].load(tiny_folder / "nothing", ("bad", "good"))


def test_regression_has_one_output_and_a_squared_error(tiny_folder: Path, tmp_path: Path) -> None:
    head = HEADS["regression"]
    tokenizer = tokenization.load(tiny_folder)
    student = registry.create("bilstm", vocab_size=len(tokenizer), **head.config(("score",)))
    for number, model in enumerate((head.load(tiny_folder, ("score",)), student.eval())):
        assert (model.config.problem_type, model.config.id2label) == ("regression", {0: "score"})
        ids, labels = torch.tensor([[2, 7, 3], [2, 8, 3]]), torch.tensor([1.5, -0.5])
        output = model(input_ids=ids, labels=labels)
        assert output.logits.shape == (2, 1)
        assert output.loss.item() == pytest.approx(
            ((output.logits[:, 0] - labels) ** 2).mean().item()
        )
        folder = tmp_path / str(number)
        model.save_pretrained(folder)
        tokenization.save_for(model, tokenizer, folder, 32, 1.0)
        again = AutoModelForSequenceClassification.from_pretrained(folder)
        assert again.config.problem_type == "regression"
        (answer,) = pipeline("text-classification", model=str(folder))("good film")
        logit = model(**tokenizer("good film", return_tensors="pt")).logits.item()
        assert answer["label"] == "score"
        assert answer["score"] == pytest.approx(logit, abs=1e-5), "the number, not a probability"
