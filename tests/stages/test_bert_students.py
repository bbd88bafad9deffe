"""Students of BERT's shape through stages 3 and 4: their start, their phases, what is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
)

from distillery import encoders, paths, recipes, results, tasks
from distillery.cli import main
from distillery.distillation import initialization
from distillery.distillation import signals as teachers
from distillery.errors import UserError
from distillery.students import STUDENTS, Student
from distillery.training import loop

Refused = Callable[..., str]
STUDENT = ["student", "--task", "smoke", "--student", "bert_tiny"]
DISTIL = ["distil", "--task", "smoke", "--teacher", "tiny", "--student"]


def result(name: str) -> results.Result:
    return results.read(paths.results(local=True) / f"{name}.json")


def stopped_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes training stop before a step, counted over all phases."""
    steps, run = iter(range(10**6)), loop._Training._step

    def patched(self: Any, rows: np.ndarray, rate: float) -> torch.Tensor:
        if next(steps) == step:
            raise UserError("stopped")
        return run(self, rows, rate)

    monkeypatch.setattr(loop._Training, "_step", patched)


def test_layers_then_logits_stopped_and_gone_on_with(
    smoke_copy: Path, refused: Refused, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    name = "distil_bert_tiny_tiny_smoke.short"
    epochs = ["--phase1-epochs", "2", "--phase2-epochs", "2", "--variant", "short"]
    assert main([*DISTIL, "bert_tiny", *epochs]) == 0
    whole = result(name)
    run = whole.runs[0]
    assert run["start"] == "PCA of the teacher's embeddings"
    assert "starts from: PCA of the teacher's embeddings" in caplog.text
    assert run["epochs"] == 4
    lines = [line for line in caplog.text.splitlines() if "phase 1: epoch" in line]
    first, second = (float(line.split()[-1]) for line in lines)
    assert second < first, "what is learnt from layers is learnt"

    folder = paths.model("smoke", name)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert type(model) is BertForSequenceClassification
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(model.state_dict()), "nothing that the losses learnt"

    steps = 2 * 9  # of each phase
    for step in (steps // 2 + 3, steps + 5):
        with pytest.MonkeyPatch.context() as monkeypatch:
            stopped_at(step, monkeypatch)
            again = [*epochs, "--force", "--checkpoint-seconds", "0"]
            assert "stopped" in refused(*DISTIL, "bert_tiny", *again)
        results.json_path(paths.results(local=True), name).unlink()
        shutil.rmtree(folder)
        assert main([*DISTIL, "bert_tiny", *epochs]) == 0
        assert result(name).outputs == whole.outputs
        assert result(name).runs[0]["history"] == run["history"]


def test_from_labels_alone_it_starts_from_the_encoder(smoke_copy: Path) -> None:
    assert main([*STUDENT, "--epochs", "1", "--variant", "x"]) == 0
    found = result("bert_tiny_smoke.x")
    assert found.runs[0]["start"] == "PCA of the encoder's embeddings"
    assert "encoders/tiny/model.safetensors" in found.inputs
    assert main(["predict", str(paths.model("smoke", "bert_tiny_smoke.x")), "it was good"]) == 0


def checkpoint(name: str, words: tuple[str, ...] = ()) -> Path:
    """A checkpoint of a student's sizes, in the hub's layout, that reads what `tiny` reads."""
    folder, shape = paths.encoder(name), STUDENTS[name].shape
    encoders.save_tiny(folder)
    from transformers import BertTokenizerFast

    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    for word in words:
        vocabulary[word] = len(vocabulary)
    if words:
        BertTokenizerFast(vocab=vocabulary).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        num_hidden_layers=shape.layers,
        hidden_size=shape.width,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=64,
    )
    torch.manual_seed(3)
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_checkpoint_in_the_folder_of_encoders_is_started_from(smoke_copy: Path) -> None:
    folder = checkpoint("bert_tiny")
    short = ["--phase1-epochs", "1", "--phase2-epochs", "1", "--variant"]
    assert main([*DISTIL, "bert_tiny", *short, "auto"]) == 0
    found = result("distil_bert_tiny_tiny_smoke.auto")
    assert found.runs[0]["start"] == "hub google/bert_uncased_L-2_H-128_A-2"
    assert "encoders/bert_tiny/model.safetensors" in found.inputs
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert main([*DISTIL, "bert_tiny", "--start", "random", *short, "random"]) == 0
    assert result("distil_bert_tiny_tiny_smoke.random").runs[0]["start"] == "random"


def test_a_student_is_pruned_and_distilled_again_from_logits(
    smoke_copy: Path, refused: Refused
) -> None:
    epochs = ["--phase1-epochs", "1", "--phase2-epochs", "1", "--variant", "x"]
    assert main([*DISTIL, "bert_tiny", *epochs]) == 0
    prune = ["prune", "--task", "smoke", "--model", "distil_bert_tiny_tiny_smoke.x"]
    assert "loss hidden compares layers: it needs a live teacher" in refused(
        *(*prune, "--losses", "hidden,mse", "--variant", "layers")
    )
    assert main([*prune, "--epochs", "1", "--variant", "short"]) == 0
    pruned = result("distil_bert_tiny_tiny_smoke.x.pruned.short")
    assert pruned.parameters < result("distil_bert_tiny_tiny_smoke.x").parameters


def test_a_recurrent_student_learns_hidden_states(smoke_copy: Path) -> None:
    losses = ["--losses", "hidden:0.5,cosine:0.1,embeddings:1,mse:1", "--epochs", "1"]
    assert main([*DISTIL, "bilstm", *losses, "--variant", "hidden"]) == 0
    assert "start" not in result("distil_bilstm_tiny_smoke.hidden").runs[0]


def test_recorded_outputs_are_not_needed_where_layers_alone_are_compared(
    smoke_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the teacher does not run where they are all that is needed."""
    from distillery.distillation import signals

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(signals, "Live", refuse)
    assert main([*DISTIL, "bilstm", "--force"]) == 0
    with pytest.raises(AssertionError):
        main([*DISTIL, "bert_tiny"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*STUDENT, "--start", "teacher", "--variant", "x"], "need a teacher"),
        ([*STUDENT, "--losses", "hidden", "--variant", "x"], "need a teacher"),
        ([*STUDENT, "--start", "pca", "--variant", "x"], "unknown start 'pca'"),
        ([*STUDENT, "--hidden-size", "64", "--variant", "x"], "unrecognized arguments"),
        (
            [*STUDENT, "--start", "hub", "--variant", "x"],
            "google/bert_uncased_L-2_H-128_A-2 is not",
        ),
        ([*STUDENT, "--max-length", "600", "--start", "teacher", "--variant", "x"], "teacher"),
        ([*DISTIL, "tinybert4"], "student tinybert4 has 12, teacher tiny 2"),
        (
            [*DISTIL, "bilstm", "--losses", "attention,mse", "--variant", "x"],
            "a loss needs the attentions of student bilstm, which gives hidden states",
        ),
        (
            [*DISTIL, "attention", "--losses", "value_relations:1:heads=2,mse", "--variant", "x"],
            "the values of student attention",
        ),
        (
            [*DISTIL, "bert_tiny", "--phase2-losses", "hidden", "--variant", "x"],
            "the last phase trains layers alone",
        ),
        ([*DISTIL, "bert_tiny", "--max-length", "600", "--variant", "x"], "teacher tiny reads 512"),
        (
            [*DISTIL, "bag", "--losses", "hidden,mse", "--variant", "x"],
            "the hidden states of student bag, which gives no states of its layers",
        ),
        ([*DISTIL, "minilm3", "--start", "hub", "--variant", "x"], "minilm3 has no checkpoint"),
        (
            [*DISTIL, "minilm3", "--tokenizer", "tiny", "--variant", "x"],
            "tokenizer tiny is impossible: student minilm3 reads the word pieces of minilm",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_start(
    in_smoke_home: Path, refused: Refused, arguments: list[str], said: str
) -> None:
    before = sorted(paths.data().glob("smoke/runs/*/*"))
    assert said in refused(*arguments)
    assert sorted(paths.data().glob("smoke/runs/*/*")) == before


def test_other_word_pieces_are_refused_where_layers_are_compared(
    smoke_copy: Path, refused: Refused
) -> None:
    checkpoint("bert_tiny", words=("wordish",))
    said = "needs the word pieces of teacher tiny, which are not those of student bert_tiny"
    assert said in refused(*DISTIL, "bert_tiny")
    logits = ["--phase1-losses", "mse", "--phase1-epochs", "1", "--phase2-epochs", "1"]
    assert main([*DISTIL, "bert_tiny", *logits, "--variant", "logits"]) == 0


def test_a_checkpoint_of_other_sizes_is_refused(smoke_copy: Path, refused: Refused) -> None:
    shutil.copytree(encoders.locate("tiny"), paths.encoder("bert_tiny"))
    assert "2 layers of width 32" in refused(*STUDENT)


def test_a_checkpoint_for_shorter_texts_is_refused(smoke_copy: Path, refused: Refused) -> None:
    checkpoint("bert_tiny")
    said = refused(*STUDENT, "--max-length", "80", "--variant", "x")
    assert "max_length 80 is impossible" in said


@pytest.fixture
def tiny1(monkeypatch: pytest.MonkeyPatch) -> None:
    """A student of the tiny encoder's own architecture with one of its two layers."""
    monkeypatch.setitem(STUDENTS, "tiny1", Student("encoder", 1, encoder="tiny", static=True))


def layer(folder: Path, number: int) -> list[torch.Tensor]:
    """The weights of a saved BERT's layer, counted from 1."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(name for name in weights if f"encoder.layer.{number - 1}." in name)
    assert names
    return [weights[name] for name in names]


def test_a_student_with_fewer_layers_goes_through_all_stages(smoke_copy: Path, tiny1: None) -> None:
    assert main([*DISTIL, "tiny1"]) == 0
    found = result("distil_tiny1_tiny_smoke")
    assert found.runs[0]["start"] == "teacher layers 2"
    assert found.layers == 1
    assert found.parameters < result("tiny_smoke").parameters
    model = AutoModelForSequenceClassification.from_pretrained(
        paths.model("smoke", "distil_tiny1_tiny_smoke")
    )
    assert type(model) is BertForSequenceClassification
    assert len(model.bert.encoder.layer) == 1
    names = ["--task", "smoke", "--teacher", "tiny", "--student", "tiny1"]
    assert main(["compress", *names]) == 0
    for step in ("onnx", "int8", "int8.static", "pruned", "pruned.int8"):
        assert result(f"distil_tiny1_tiny_smoke.{step}").layers == 1
    assert main(["student", "--task", "smoke", "--student", "tiny1"]) == 0
    assert result("tiny1_smoke").runs[0]["start"] == "encoder layers 2"
    assert "encoders/tiny/model.safetensors" in result("tiny1_smoke").inputs
    assert main(["report", "--task", "smoke"]) == 0
    for name in ("distil_tiny1_tiny_smoke", "distil_tiny1_tiny_smoke.int8", "tiny1_smoke"):
        assert main(["predict", str(paths.model("smoke", name)), "the film was great"]) == 0


@pytest.mark.parametrize(
    ("rule", "number"), [("uniform", 2), ("first", 1), ("last", 2), ("1-1", 1)]
)
def test_which_layers_it_starts_from_is_an_option(
    in_smoke_home: Path, tiny1: None, rule: str, number: int
) -> None:
    task, teacher = tasks.get("smoke"), teachers.find(tasks.get("smoke"), "tiny")
    recipe = replace(recipes.distillation("smoke", "tiny1", "tiny"), start_layers=rule)
    start = initialization.choose("tiny1", recipe, teacher)
    model, origin = start.build(task, recipe, start.tokenizer(task))
    assert origin == f"teacher layers {number}"
    weights = model.bert.encoder.layer[0].state_dict()
    theirs = layer(teacher.folder, number)
    for name, expected in zip(sorted(weights), theirs, strict=True):
        assert torch.equal(weights[name], expected), name
    random = replace(recipe, start="random")
    start = initialization.choose("tiny1", random, teacher)
    model, origin = start.build(task, random, start.tokenizer(task))
    assert origin == "random"
    assert not torch.equal(model.classifier.weight, torch.zeros(2, 32))


def test_a_teacher_of_another_architecture_is_not_its_start(
    smoke_copy: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """The encoder is, whose word pieces it then reads."""
    other = checkpoint("bert_tiny")
    monkeypatch.setitem(STUDENTS, "other1", Student("encoder", 1, encoder=str(other)))
    teacher = teachers.find(tasks.get("smoke"), "tiny")
    recipe = recipes.distillation("smoke", "other1", "tiny")
    start = initialization.choose("other1", recipe, teacher)
    assert (start.kind, start.folder) == ("encoder", other)
    said = refused(*DISTIL, "other1", "--start", "teacher", "--variant", "x")
    assert "start teacher is impossible: student other1 has the architecture of" in said
    for rule, expected in (
        ("middle", "start_layers 'middle' is impossible: uniform, first, last, or pairs"),
        ("1-3", "layers 1-3 is impossible: the student has 1 layers, the teacher 2"),
        ("1-1+1-2", "start_layers 1-1+1-2 is impossible: name each of the student's 1 layers once"),
    ):
        said = refused(*DISTIL, "other1", "--start-layers", rule, "--variant", "x")
        assert expected in said
