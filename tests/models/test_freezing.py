"""Fine-tuning the upper layers of an encoder alone."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
)

from distillery import paths
from distillery.cli import main
from distillery.errors import UserError
from distillery.kernels import fast_bert
from distillery.models import auto
from distillery.recipes import TeacherRecipe
from distillery.training import loop

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
BERT = BertConfig(**SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
SPECIAL = ("pad", "bos", "eos", "cls", "sep")  # ModernBERT's lie beyond a small vocabulary
CONFIGS = {
    "bert": (BERT, "encoder.layer", {"bert.pooler", "classifier"}),
    "roberta": (RobertaConfig(**SIZES), "encoder.layer", {"classifier"}),
    "mpnet": (MPNetConfig(**SIZES), "encoder.layer", {"classifier"}),
    "distilbert": (
        DistilBertConfig(vocab_size=40, dim=16, n_layers=3, n_heads=2, hidden_dim=16),
        "transformer.layer",
        {"pre_classifier", "classifier"},
    ),
    "modernbert": (
        ModernBertConfig(**SIZES, **{f"{name}_token_id": 0 for name in SPECIAL}),
        "layers",
        {"model.final_norm", "head", "classifier"},
    ),
}


def classifier(config: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(copy.deepcopy(config))


def gradients(model: Any) -> dict[str, Tensor]:
    """Of the weights that get one, for a batch of two texts."""
    ids = torch.arange(12).view(2, 6) + 5
    model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.square().sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("tuned", [1, 2])
def test_upper_layers_and_what_follows_them_are_tuned(family: str, tuned: int) -> None:
    config, layers, head = CONFIGS[family]
    model = classifier(config)
    auto.freeze_lower(model, tuned)
    name = f"{model.base_model_prefix}.{layers}"
    upper = {f"{name}.{number}" for number in range(3 - tuned, 3)}
    expected = tuple(f"{part}." for part in upper | head)
    for weight, parameter in model.named_parameters():
        assert parameter.requires_grad == weight.startswith(expected), weight


def test_zero_tunes_everything() -> None:
    model = classifier(BERT)
    auto.freeze_lower(model, 0)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("fast", [False, True])
def test_gradients_of_the_upper_layers_are_those_of_tuning_everything(fast: bool) -> None:
    """And autograd records nothing below them."""
    whole, upper = classifier(BERT), classifier(BERT)
    auto.freeze_lower(upper, 1)
    recorded = []
    for layer in upper.bert.encoder.layer:
        layer.register_forward_pre_hook(lambda _, given: recorded.append(given[0].requires_grad))
        layer.register_forward_hook(lambda *given: recorded.append(given[2].requires_grad))
    if fast:
        fast_bert.use_in(whole)
        fast_bert.use_in(upper)
    expected, found = gradients(whole), gradients(upper)
    assert recorded == [False, False, False, False, False, True]
    assert 0 < len(found) < len(expected)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_frozen_weights_have_no_optimizer_state() -> None:
    model = classifier(BERT)
    auto.freeze_lower(model, 1)
    phase = TeacherRecipe(tuned_layers=1).phase()
    (optimizer,) = loop.create_optimizers(model, phase)
    gradients(model)
    optimizer.step()
    assert {id(weight) for weight in optimizer.state} == {
        id(weight) for weight in model.parameters() if weight.requires_grad
    }


@pytest.mark.parametrize(
    ("config", "tuned", "expected"),
    [
        (BERT, 4, "tuned_layers 4 is impossible: this encoder has 3 layers"),
        (AlbertConfig(**SIZES, embedding_size=8), 1, "one list of layers, which AlbertModel"),
    ],
)
def test_what_cannot_be_is_refused(config: Any, tuned: int, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        auto.freeze_lower(classifier(config), tuned)


def test_a_teacher_of_tuned_upper_layers(
    smoke_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen weights are those it started from; a stopped run, resumed, ends as a whole one."""
    start = shutil.copytree(paths.model("smoke", "tiny_smoke"), tmp_path / "mine")
    command = ["teacher", "--task", "smoke", "--teacher", str(start), "--variant", "upper"]
    command += ["--tuned-layers", "1", "--epochs", "2"]
    saved = paths.model("smoke", paths.teacher_result("smoke", "mine", "upper"))
    select, epochs = loop._Training.select, []

    def stop_after_the_first(training: loop._Training) -> None:
        select(training)
        epochs.append(training.progress.epoch)
        if len(epochs) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop._Training, "select", stop_after_the_first)
    assert main(command) == 130
    assert main(command) == 0
    assert epochs == [1, 2]
    resumed = load_file(saved / "model.safetensors")
    assert main([*command, "--force"]) == 0
    whole = load_file(saved / "model.safetensors")
    before = load_file(start / "model.safetensors")
    frozen = ("bert.embeddings.", "bert.encoder.layer.0.")
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
        assert torch.equal(tensor, before[name]) == name.startswith(frozen), name


def test_more_layers_than_there_are(in_smoke_home: Path, refused: Callable[..., str]) -> None:
    teacher = ("teacher", "--task", "smoke", "--teacher", "tiny")
    said = refused(*teacher, "--tuned-layers", "9", "--variant", "upper")
    assert "tuned_layers 9 is impossible: this encoder has 2 layers" in said
