"""What layers give: of students and teachers, by name, by configuration and in a forward pass."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig

from distillery import recipes
from distillery.distillation import layers
from distillery.errors import UserError
from distillery.kernels import fast_bert
from distillery.models import registry


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        (4, 12, [3, 6, 9, 12]),
        (6, 12, [2, 4, 6, 8, 10, 12]),
        (2, 6, [3, 6]),
        (4, 6, [2, 3, 5, 6]),  # 1.5, 3, 4.5, 6
        (3, 3, [1, 2, 3]),
        (4, 2, [1, 1, 2, 2]),
        (1, 12, [12]),
    ],
)
def test_student_layers_learn_from_the_teachers_evenly(
    student: int, teacher: int, expected: list[int]
) -> None:
    found = layers.mapping("uniform", student, teacher)
    assert found == [*enumerate(expected, start=1)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("first", [(1, 1), (2, 2), (3, 3)]),
        ("last", [(1, 4), (2, 5), (3, 6)]),
        ("1-3+3-6", [(1, 3), (3, 6)]),
        ("2-2", [(2, 2)]),
    ],
)
def test_other_mappings_say_which_layers_are_compared(
    rule: str, expected: list[tuple[int, int]]
) -> None:
    assert layers.mapping(rule, 3, 6) == expected


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("middle", "unknown layers 'middle': choose from uniform, first, last"),
        ("", "unknown layers ''"),
        (3.0, "unknown layers '3.0'"),
        ("1-2-3", "unknown layers '1-2-3'"),
        ("1-3,2-6", "unknown layers '1-3,2-6'"),
        ("4-6", "layers 4-6 is impossible: the student has 3 layers, the teacher 6"),
        ("1-7", "and 1 would learn from 7"),
        ("0-1", "layers 0-1 is impossible"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(rule: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        layers.mapping(rule, 3, 6)


def test_a_student_deeper_than_its_teacher_has_no_first_or_last_layers() -> None:
    for rule in ("first", "last"):
        with pytest.raises(UserError, match=f"layers {rule} is impossible"):
            layers.mapping(rule, 4, 2)


def bert(**sizes: Any) -> BertForSequenceClassification:
    torch.manual_seed(0)
    given = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} | sizes
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=24,
            **given,
        )
    )


def inputs(rows: int = 3, length: int = 7) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 40, (rows, length), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(length) < torch.tensor([[length], [4], [2]])).long()
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
    }


def test_a_berts_layers_are_those_that_transformers_gives() -> None:
    plain, batch = bert(attn_implementation="eager"), inputs()
    expected = plain(**batch, output_hidden_states=True, output_attentions=True)
    model = bert()
    model.load_state_dict(plain.state_dict())
    found = layers.WithLayers(model)(**batch)
    text = batch["attention_mask"].bool()
    torch.testing.assert_close(found.logits, expected.logits)
    assert len(found.hidden_states) == 4
    for one, other in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(one[text], other[text])
    assert len(found.queries) == len(found.keys) == len(found.values) == 3
    hide = torch.where(text, 0.0, -1e9)[:, None, None, :]
    for query, key, weights in zip(found.queries, found.keys, expected.attentions, strict=True):
        scores = torch.einsum("bqhw,bkhw->bhqk", query, key) / 8**0.5
        torch.testing.assert_close((scores + hide).softmax(dim=-1), weights)
    first = model.bert.encoder.layer[0].attention.self.value(expected.hidden_states[0])
    torch.testing.assert_close(found.values[0].flatten(2)[text], first[text])


def test_all_states_are_given_after_logits_alone_were_computed_and_the_other_way_round() -> None:
    model, batch = bert(), inputs()
    fast_bert.use_in(model)
    logits = model(**batch).logits
    found = layers.WithLayers(model)(**batch)
    assert [tuple(states.shape) for states in found.hidden_states] == [(3, 7, 16)] * 4
    torch.testing.assert_close(found.logits, logits)
    fast_bert.use_in(model)
    assert model.bert(**batch).last_hidden_state.shape == (3, 1, 16)
    torch.testing.assert_close(model(**batch).logits, logits)


def test_nothing_is_kept_of_a_forward_pass_that_asks_for_no_layers() -> None:
    model, batch = bert(), inputs()
    watched = layers.WithLayers(model)
    model(**batch)
    assert watched._seen is None
    assert len(watched(**batch).queries) == 3
    assert watched._seen is None


def test_layers_of_a_recurrent_student_are_its_states() -> None:
    torch.manual_seed(0)
    model = registry.create("bigru2", vocab_size=40, embedding_size=6, hidden_size=8).eval()
    found = layers.WithLayers(model)(**inputs())
    assert [tuple(s.shape) for s in found.hidden_states] == [(3, 7, 6), (3, 7, 8), (3, 7, 8)]
    assert found.queries == found.keys == found.values == ()


def test_what_students_give_is_known_by_name(tiny_folder: Path) -> None:
    tiny = layers.of_student("bert_tiny", recipes.student("smoke", "bert_tiny"), tiny_folder)
    assert tiny == layers.Source("student bert_tiny", layers.EVERYTHING, 2, 128, 128, 2, 32)
    own = layers.of_student("bilstm2", recipes.student("smoke", "bilstm2"), tiny_folder)
    assert own == layers.Source("student bilstm2", ("hidden_states",), 2, 16, 32, 0, 32)
    assert layers.of_student("bag", recipes.student("smoke", "bag"), tiny_folder).gives == ()
    shallow = layers.of_student("minilm3", recipes.student("smoke", "minilm3"), tiny_folder)
    assert shallow == layers.Source("student minilm3", layers.EVERYTHING, 3, 32, 32, 2, 32)


def test_what_a_teacher_gives_is_known_by_its_configuration(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path / "bert")
    found = layers.of_teacher("mine", tmp_path / "bert")
    assert found == layers.Source("teacher mine", layers.EVERYTHING, 3, 16, 16, 2, 512)
    DistilBertConfig().save_pretrained(tmp_path / "other")
    assert layers.of_teacher("other", tmp_path / "other").gives == ("hidden_states",)
    with pytest.raises(UserError, match="holds no model"):
        layers.of_teacher("none", tmp_path / "none")


def test_what_a_model_does_not_give_is_refused() -> None:
    source = layers.Source("student bilstm", ("hidden_states",), 1, 8, 8, 0, 32)
    source.refuse_what_is_missing({"labels", "logits", "hidden_states"})
    with pytest.raises(
        UserError, match="attentions and values of student bilstm, which gives hidden states"
    ):
        source.refuse_what_is_missing({"values", "logits", "attentions"})
    bag = layers.Source("student bag", (), 1, 8, 8, 0, 32)
    with pytest.raises(UserError, match="gives no states of its layers"):
        bag.refuse_what_is_missing({"hidden_states"})
