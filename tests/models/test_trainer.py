"""Students in `transformers.Trainer`: losses, gradient accumulation, checkpoints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

import distillery  # noqa: F401  registers the students
from distillery.models import registry
from distillery.models.bert import PrunedBertConfig, PrunedBertForSequenceClassification

ROWS = 10
SIZES = {"vocab_size": 50, "embedding_size": 8, "hidden_size": 16, "max_length": 12}
every_architecture = pytest.mark.parametrize("architecture", registry.CLASSES)


def make(architecture: str, **sizes: Any) -> Any:
    torch.manual_seed(0)
    if architecture == "pruned_bert":
        widths = {"hidden_size": 16, "num_attention_heads": 4, "kept_heads": 3}
        config = PrunedBertConfig(
            vocab_size=50, num_hidden_layers=1, intermediate_size=16, **widths, **sizes
        )
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        return PrunedBertForSequenceClassification(config)
    buckets = {"buckets": 97} if architecture == "bag" else {}
    return registry.create(architecture, **(SIZES | buckets | {"dropout": 0.0} | sizes))


def rows(labels: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Texts of 12 word pieces, each with its label."""
    ids = torch.randint(5, 50, (len(labels), 12), generator=torch.Generator().manual_seed(1))
    return [
        {"input_ids": text, "attention_mask": torch.ones_like(text), "labels": label}
        for text, label in zip(ids, labels, strict=True)
    ]


def trainer(model: Any, folder: Path, labels: torch.Tensor, **arguments: Any) -> Trainer:
    given = {"report_to": [], "disable_tqdm": True, "use_cpu": True, "save_strategy": "no"}
    options = TrainingArguments(str(folder), **(given | arguments))
    data = rows(labels)
    return Trainer(model, options, train_dataset=data, eval_dataset=data)


PROBLEMS = {
    "single_label_classification": (torch.arange(ROWS) % 3, cross_entropy, 3),
    "multi_label_classification": (
        (torch.arange(3 * ROWS).view(ROWS, 3) % 2).float(),
        binary_cross_entropy_with_logits,
        3,
    ),
    "regression": (torch.linspace(-1, 1, ROWS), lambda x, y: mse_loss(x[:, 0], y), 1),
    "regression with 3 outputs": (torch.linspace(-1, 1, 3 * ROWS).view(ROWS, 3), mse_loss, 3),
}


@pytest.mark.parametrize(
    ("architecture", "problem"),
    [
        *(("attention", problem) for problem in PROBLEMS),
        ("bag", "single_label_classification"),
        ("pruned_bert", "regression"),
    ],
)
def test_accumulated_gradients_are_those_of_all_rows_at_once(
    architecture: str, problem: str, tmp_path: Path
) -> None:
    """One step of plain SGD over 10 rows, in one batch or several, the last one shorter."""
    labels, loss_of, outputs = PROBLEMS[problem]
    options = {"num_labels": outputs, "problem_type": problem.split()[0]}
    model = make(architecture, **options)
    batch = {name: torch.stack([row[name] for row in rows(labels)]) for name in rows(labels)[0]}
    loss = loss_of(model(batch["input_ids"], batch["attention_mask"]).logits, batch["labels"])
    loss.backward()
    expected = [weight.detach() - weight.grad for weight in model.parameters()]
    for batch_size, steps in [(10, 1), (5, 2), (3, 4)]:
        model = make(architecture, **options)
        run = trainer(
            model,
            tmp_path,
            labels,
            max_steps=1,
            optim="sgd",
            learning_rate=1.0,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            logging_steps=1,
            train_sampling_strategy="sequential",
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=steps,
        )
        run.train()
        assert run.state.log_history[0]["loss"] == pytest.approx(loss.item(), rel=1e-4)
        for weight, other in zip(model.parameters(), expected, strict=True):
            torch.testing.assert_close(weight.detach(), other, atol=1e-6, rtol=1e-5)


@every_architecture
def test_problem_type_is_inferred_as_transformers_does(architecture: str) -> None:
    ids = rows(torch.zeros(ROWS))[0]["input_ids"][None]
    for labels, outputs, expected in [
        (torch.tensor([2]), 3, "single_label_classification"),
        (torch.tensor([[1.0, 0.0, 1.0]]), 3, "multi_label_classification"),
        (torch.tensor([0.5]), 1, "regression"),
        (torch.tensor([2]), 1, "regression"),
    ]:
        model = make(architecture, num_labels=outputs)
        assert model(ids, labels=labels).loss.isfinite()
        assert model.config.problem_type == expected


@every_architecture
def test_labels_of_the_wrong_shape_are_refused(architecture: str) -> None:
    ids = torch.full((4, 6), 7)
    for labels, problem in [
        (torch.zeros(3, dtype=torch.long), "single_label_classification"),
        (torch.zeros(4), "multi_label_classification"),
        (torch.zeros(4, 2), "regression"),
    ]:
        model = make(architecture, num_labels=3, problem_type=problem)
        with pytest.raises(ValueError, match=rf"{problem} of logits \(4, 3\) needs labels of"):
            model(ids, labels=labels)


@pytest.mark.parametrize("architecture", [*registry.CLASSES, "pruned_bert"])
def test_trainer_trains_evaluates_predicts_and_saves(architecture: str, tmp_path: Path) -> None:
    model = make(architecture, num_labels=3)
    before = [weight.detach().clone() for weight in model.parameters()]
    run = trainer(model, tmp_path, torch.arange(ROWS) % 3, max_steps=2, learning_rate=1e-2)
    run.train()  # with Trainer's defaults: AdamW and clipped gradients
    changed = [not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True)]
    assert any(changed)
    labels, ids = (
        torch.arange(ROWS) % 3,
        torch.stack([row["input_ids"] for row in run.eval_dataset]),
    )
    with torch.no_grad():
        logits = model.eval()(ids).logits
    assert run.evaluate()["eval_loss"] == pytest.approx(float(cross_entropy(logits, labels)), 1e-4)
    np.testing.assert_allclose(run.predict(run.eval_dataset).predictions, logits, atol=1e-6)
    run.save_model(str(tmp_path / "saved"))
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, logits)


@every_architecture
def test_trainer_resumes_to_the_same_weights(architecture: str, tmp_path: Path) -> None:
    labels = torch.arange(ROWS) % 3
    options = {"max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 1e-2}
    saving = {"save_strategy": "steps", "save_steps": 2}
    through = make(architecture, num_labels=3, dropout=0.3)
    trainer(through, tmp_path, labels, **options, **saving).train()
    resumed = make(architecture, num_labels=3, dropout=0.3)
    trainer(resumed, tmp_path, labels, **options).train(str(tmp_path / "checkpoint-2"))
    for one, other in zip(through.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@every_architecture
def test_trainer_loads_the_best_checkpoint_at_the_end(architecture: str, tmp_path: Path) -> None:
    model = make(architecture, num_labels=3)
    run = trainer(
        model,
        tmp_path,
        torch.arange(ROWS) % 3,
        max_steps=3,
        learning_rate=1.0,  # so that dev gets worse
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
    )
    run.train()
    best = min(entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry)
    assert run.evaluate()["eval_loss"] == pytest.approx(best)
