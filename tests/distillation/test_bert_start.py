"""A BERT student that starts from its teacher: layers, or the embeddings' principal components."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig

from distillery import recipes
from distillery.distillation import bert_start, embeddings, start
from distillery.distillation.teacher import Teacher
from distillery.errors import UserError
from distillery.students import BertShape

LABELS = {0: "bad", 1: "good"}


@pytest.fixture(scope="module")
def teacher() -> Any:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=6,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=40,
        hidden_dropout_prob=0.0,
    )
    return BertForSequenceClassification(config).eval()


def begin(teacher: Any, shape: BertShape) -> tuple[Any, str]:
    return bert_start.from_other(shape, teacher, "teacher", dropout=0.0, labels=LABELS)


def test_layers_are_taken_where_all_sizes_agree(teacher: Any) -> None:
    student, said = begin(teacher, BertShape(3, 16, 2, 24))
    assert said == "teacher layers 2,4,6"
    for mine, number in zip(student.bert.encoder.layer, (2, 4, 6), strict=True):
        theirs = teacher.bert.encoder.layer[number - 1].state_dict()
        assert all(torch.equal(mine.state_dict()[name], theirs[name]) for name in theirs)
    whole, said = begin(teacher, BertShape(6, 16, 2, 24))
    assert said == "teacher layers 1,2,3,4,5,6"
    ids = torch.randint(5, 60, (2, 9))
    torch.testing.assert_close(whole.eval()(ids).logits, teacher(ids).logits)


def test_taken_layers_compute_what_they_did_in_the_teacher() -> None:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        hidden_act="relu",
        layer_norm_eps=1e-2,
        initializer_range=0.5,
    )
    teacher = BertForSequenceClassification(config).eval()
    student, _ = begin(teacher, BertShape(2, 16, 2, 24))
    ids = torch.randint(5, 60, (2, 9))
    torch.testing.assert_close(student.eval()(ids).logits, teacher(ids).logits)


@pytest.mark.parametrize(
    "shape",
    [
        BertShape(2, 8, 2, 24),  # narrower
        BertShape(2, 16, 4, 24),  # the same weights would be another function
        BertShape(2, 16, 2, 32),
        BertShape(7, 16, 2, 24),  # deeper
        BertShape(1, 24, 2, 24),  # wider
    ],
)
def test_else_embeddings_are_a_pca_of_the_teachers(teacher: Any, shape: BertShape) -> None:
    student, said = begin(teacher, shape)
    assert said == "PCA of the teacher's embeddings"
    ours, theirs = student.bert.embeddings, teacher.bert.embeddings
    turn = embeddings.directions(theirs.word_embeddings.weight, shape.width)
    assert turn.shape == (16, min(shape.width, 16))
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        mine, table = getattr(ours, name).weight, getattr(theirs, name).weight
        assert mine.shape == (len(table), shape.width)
        turned = (table - table.mean(dim=0)) @ turn
        torch.testing.assert_close(mine[:, :16], turned)
        assert not mine[:, 16:].abs().sum()
    spread = ours.word_embeddings.weight[:, :16].var(dim=0)
    assert torch.all(spread.diff() < 1e-7), "of falling spread"
    assert student.config.max_position_embeddings == 40


def test_a_teacher_that_is_no_bert_is_refused_with_what_can_be_done(tmp_path: Path) -> None:
    DistilBertConfig().save_pretrained(tmp_path)
    other = Teacher("other", tmp_path, {}, "", "")
    recipe = recipes.distillation("smoke", "bert_tiny", "tiny")
    with pytest.raises(UserError, match="other is none: --start hub and --start random do not"):
        start.choose("bert_tiny", recipe, other)
    random = replace(recipe, start="random")
    assert start.choose("bert_tiny", random, other).kind == "random"


def test_sums_of_embeddings_keep_their_distances(teacher: Any) -> None:
    student, _ = begin(teacher, BertShape(1, 16, 1, 24))
    ours, theirs = student.bert.embeddings, teacher.bert.embeddings

    def sums(table: Any) -> torch.Tensor:
        words, places = table.word_embeddings.weight[7:27], table.position_embeddings.weight[:20]
        return torch.pdist(words + places)

    torch.testing.assert_close(sums(ours), sums(theirs), rtol=1e-4, atol=1e-5)
