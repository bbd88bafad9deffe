"""The students: what every one of them promises, over names and over architectures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, pipeline

import distillery.models.registry  # noqa: F401  registers the students
from distillery.models import base, networks, pretrained, registry, tokenization
from distillery.students import BASELINES, OWN, STUDENTS
from distillery.training import inference
from tests.text import cutting

RNNS = [name for name in OWN if name.startswith("bi")]
SEQUENCES = [  # with a state per piece
    name for name in OWN if "hidden_states" in networks.NETWORKS[STUDENTS[name].architecture].gives
]
ATTENTIVE = [name for name in OWN if STUDENTS[name].architecture in ("attention", "transformer")]
SIZES = {
    "vocab_size": 50,
    "embedding_size": 8,
    "hidden_size": 16,
    "max_length": 12,
    "id2label": {0: "bad", 1: "fair", 2: "good"},
    "label2id": {"bad": 0, "fair": 1, "good": 2},
}
every_student = pytest.mark.parametrize("student", OWN)
every_sequence = pytest.mark.parametrize("student", SEQUENCES)
every_architecture = pytest.mark.parametrize("architecture", registry.CLASSES)


def make(student: str, **sizes: Any) -> Any:
    torch.manual_seed(0)
    return registry.create(student, **(SIZES | sizes)).eval()


def text(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    """(B, T) word pieces without any padding."""
    return torch.randint(5, 50, (rows, length), generator=torch.Generator().manual_seed(seed))


def padded(ids: torch.Tensor, length: int) -> dict[str, torch.Tensor]:
    more = length - ids.shape[1]
    return {
        "input_ids": nn.functional.pad(ids, (0, more), value=0),
        "attention_mask": nn.functional.pad(torch.ones_like(ids), (0, more)),
        "token_type_ids": torch.zeros(len(ids), length, dtype=torch.long),
    }


def same(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_every_named_student_has_an_architecture_and_back() -> None:
    assert {STUDENTS[name].architecture for name in OWN} == set(registry.CLASSES)
    for name in OWN:
        architecture, layers = STUDENTS[name].architecture, STUDENTS[name].layers
        assert name == (architecture if layers == 1 else f"{architecture}{layers}")


def test_no_student_has_the_name_of_a_baseline() -> None:
    # `mean_stsb` would be the result and the script of both, and the later one overwrite the other
    assert not STUDENTS.keys() & BASELINES.keys()


@every_sequence
@pytest.mark.parametrize(("rows", "length"), [(1, 3), (4, 12), (2, 20)])
@torch.no_grad()
def test_shapes(student: str, rows: int, length: int) -> None:
    model, ids = make(student), text(rows, length)
    assert model(ids).logits.shape == (rows, 3)
    kept = min(length, 12)
    states = model.encoder(ids).last_hidden_state
    assert states.shape == (rows, kept, 16)
    assert states.isfinite().all()


@every_sequence
@pytest.mark.parametrize(("rows", "length", "wide"), [(1, 5, 6), (3, 7, 12), (3, 7, 25)])
@torch.no_grad()
def test_padding_changes_nothing(student: str, rows: int, length: int, wide: int) -> None:
    model, ids = make(student), text(rows, length)
    bare, more = model(ids), model(**padded(ids, wide))
    same(bare.logits, more.logits)
    states = model.encoder(**padded(ids, wide)).last_hidden_state
    same(model.encoder(ids).last_hidden_state, states[:, :length])


@every_student
@torch.no_grad()
def test_a_row_is_the_same_alone_and_beside_others(student: str) -> None:
    model = make(student)
    rows = [text(1, length, seed=length) for length in (3, 9, 20, 12)]
    batch = [padded(ids, 20) for ids in rows]
    together = model(**{name: torch.cat([part[name] for part in batch]) for name in batch[0]})
    for row, ids in enumerate(rows):
        same(model(ids).logits[0], together.logits[row])


@every_sequence
@torch.no_grad()
def test_pooling_of_the_last_states_sees_text_only(student: str) -> None:
    model, ids = make(student, pooling="last"), text(3, 7)
    same(model(ids).logits, model(**padded(ids, 12)).logits)
    states = model.encoder(ids).last_hidden_state
    same(model.classifier(torch.cat([states[:, -1], states[:, 0]], 1)), model(ids).logits)


@every_student
@torch.no_grad()
def test_mask_is_made_of_the_padding_where_none_is_given(student: str) -> None:
    model, inputs = make(student), padded(text(2, 5), 9)
    same(model(inputs["input_ids"]).logits, model(**inputs).logits)


@every_architecture
@pytest.mark.parametrize("head", [0.0, 0.25, 0.5, 1.0])
@torch.no_grad()
def test_long_text_is_cut_as_training_cut_it(architecture: str, head: float) -> None:
    model = make(architecture, head=head)
    ids = text(1, 31)
    inner = cutting.cut(ids[0, 1:-1].tolist(), 10, head)
    cut = torch.tensor([[ids[0, 0], *inner, ids[0, -1]]])
    assert cut.shape == (1, 12)
    for length in (31, 40):
        same(model(**padded(ids, length)).logits, model(cut).logits)


@pytest.mark.parametrize("head", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("room", [8, 9, 15])
def test_shorten_keeps_exactly_what_cut_keeps(head: float, room: int) -> None:
    config = pretrained.StudentConfig(max_length=room, head=head)
    for length in range(2, 30):
        mask = (torch.arange(30) < length).long()[None]
        places = torch.arange(30)[None] * mask
        short_mask, _, short = base.shorten(config, mask, torch.zeros_like(mask), places)
        inner = cutting.cut(list(range(1, length - 1)), room - 2, head)
        kept = [0, *inner, length - 1]
        assert short_mask.sum() == len(kept)
        assert short[0, : len(kept)].tolist() == kept


@pytest.mark.parametrize("head", [0.0, 0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("room", [8, 9, 15])
def test_shorten_cuts_a_pair_as_training_cut_it(head: float, room: int, tiny_folder: Path) -> None:
    config = pretrained.StudentConfig(max_length=room, head=head)
    lengths = [(one, two) for one in range(1, 20) for two in range(1, 20)]
    words = [(" ".join("abc"[n % 3] for n in range(one)), "d " * two) for one, two in lengths]
    texts = [one for one, _ in words], [two for _, two in words]
    tokenizer = tokenization.load(tiny_folder)
    rows = np.arange(len(lengths))
    long = inference.tensors(tokenization.reader(tokenizer, 64, head).encode(*texts), rows)
    cut = inference.tensors(tokenization.reader(tokenizer, room, head).encode(*texts), rows)
    names = ("attention_mask", "token_type_ids", "input_ids")
    found = base.shorten(config, *(long[name] for name in names))
    for name, tensor in zip(names, found, strict=True):
        width = cut[name].shape[1]
        expected = nn.functional.pad(cut[name], (0, room - width))
        assert torch.equal(tensor * found[0], expected * found[0]), name
        assert torch.equal(found[0], nn.functional.pad(cut["attention_mask"], (0, room - width)))


@every_sequence
@torch.no_grad()
def test_a_pair_is_compared(student: str) -> None:
    """Either text matters to the head, and a text without a second one is no accident."""
    model, inputs = make(student, pairs=True), padded(text(2, 8), 12)
    types = (torch.arange(12) >= 4).long().expand(2, 12) * inputs["attention_mask"]
    logits = model(**inputs | {"token_type_ids": types}).logits
    same(logits, model(**padded(text(2, 8), 8) | {"token_type_ids": types[:, :8]}).logits)
    for place in (1, 6):
        ids = inputs["input_ids"].clone()
        ids[:, place] = 7 + (ids[:, place] == 7)
        other = inputs | {"token_type_ids": types, "input_ids": ids}
        assert (model(**other).logits - logits).abs().max() > 1e-4
    assert model(**inputs).logits.isfinite().all()
    assert model.classifier.in_features == 8 * model.config.hidden_size


@every_student
@torch.no_grad()
def test_second_text_of_a_pair_is_told_apart(student: str) -> None:
    model, inputs = make(student), padded(text(2, 8), 8)
    other = inputs | {"token_type_ids": (torch.arange(8) >= 4).long().expand(2, 8)}
    assert (model(**inputs).logits - model(**other).logits).abs().max() > 1e-4


@every_architecture
@torch.no_grad()
def test_order_of_the_pieces_matters(architecture: str) -> None:
    model, ids = make(architecture), text(2, 8)
    assert (model(ids).logits - model(ids.flip(1)).logits).abs().max() > 1e-4


@every_sequence
@torch.no_grad()
def test_hidden_states_are_given_on_request(student: str) -> None:
    model, ids = make(student), text(2, 6)
    assert model(ids).hidden_states is None
    output = model.encoder(ids, output_hidden_states=True)
    embedded, *states = output.hidden_states
    assert embedded.shape == (2, 6, 8)
    assert [tuple(state.shape) for state in states] == [(2, 6, 16)] * STUDENTS[student].layers
    assert torch.equal(states[-1], output.last_hidden_state)
    assert len(model(ids, output_hidden_states=True).hidden_states) == len(states) + 1


@pytest.mark.parametrize("student", ATTENTIVE)
@torch.no_grad()
def test_attentions_are_given_on_request(student: str) -> None:
    model, inputs = make(student), padded(text(2, 6), 9)
    assert model(**inputs).attentions is None
    output = model(**inputs, output_attentions=True)
    assert len(output.attentions) == STUDENTS[student].layers
    for weights in output.attentions:
        assert weights.shape == (2, 4, 9, 9)
        same(weights.sum(dim=-1), torch.ones(2, 4, 9))
        assert weights[..., 6:].abs().max() == 0  # nothing looks at padding
    same(output.logits, model(**inputs).logits)


@pytest.mark.parametrize("student", [name for name in OWN if name not in ATTENTIVE])
def test_a_student_without_attentions_refuses_to_give_them(student: str) -> None:
    with pytest.raises(ValueError, match="has no attentions to give"):
        make(student)(text(1, 4), output_attentions=True)


@every_student
def test_loss_is_the_cross_entropy_of_the_labels(student: str) -> None:
    model, ids, labels = make(student), text(4, 6), torch.tensor([0, 1, 2, 1])
    output = model(ids, labels=labels)
    expected = -output.logits.log_softmax(dim=-1)[torch.arange(4), labels].mean()
    same(output.loss, expected)
    assert model(ids).loss is None
    output.loss.backward()
    missing = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert missing == []


@every_architecture
@torch.no_grad()
def test_tuple_is_given_on_request(architecture: str) -> None:
    model, ids = make(architecture), text(1, 4)
    (logits,) = model(ids, return_dict=False)
    same(logits, model(ids).logits)
    (first,) = model.encoder(ids, return_dict=False)
    assert torch.equal(first, model.encoder(ids)[0])


@every_student
@torch.no_grad()
def test_saved_student_is_loaded_by_the_auto_classes(student: str, tmp_path: Path) -> None:
    model, ids = make(student), text(3, 20)
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    torch.manual_seed(1)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    assert loaded.config.id2label == SIZES["id2label"]
    assert not loaded.training
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    encoder, loading = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(encoder) is type(model.encoder)
    assert not loading["missing_keys"]
    assert torch.equal(encoder(ids)[0], model.encoder(ids)[0])


@every_architecture
@torch.no_grad()
def test_saved_encoder_is_loaded_alone(architecture: str, tmp_path: Path) -> None:
    encoder, ids = make(architecture).encoder, text(2, 5)
    encoder.save_pretrained(tmp_path)
    torch.manual_seed(1)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(ids)[0], encoder(ids)[0])
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.max_length, config.head, config.embedding_size) == (12, 0.25, 8)


@every_architecture
def test_pipeline_classifies_as_training_saw_the_text(
    architecture: str, tmp_path: Path, tiny_folder: Path
) -> None:
    tokenizer = tokenization.load(tiny_folder)
    model = make(architecture, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["the film was great", "it was bad, " * 20]  # the second one is over max_length
    found = pipeline("text-classification", model=str(tmp_path), device="cpu")(texts, top_k=None)
    batch = inference.tensors(
        tokenization.reader(tokenizer, 12, 0.25).encode(texts, None), np.arange(2)
    )
    with torch.no_grad():
        expected = model(**batch).logits.softmax(dim=-1)
    for row, scores in enumerate(found):
        by_label = {score["label"]: score["score"] for score in scores}
        same(torch.tensor([by_label[n] for n in ("bad", "fair", "good")]), expected[row])


@pytest.mark.parametrize("student", RNNS)
@torch.no_grad()
def test_recurrent_weights_keep_the_names_and_the_layout_of_pytorch(
    student: str, tmp_path: Path
) -> None:
    model, ids = make(student), text(2, 7)
    model.save_pretrained(tmp_path)
    cell = nn.LSTM if student.startswith("bilstm") else nn.GRU
    gates = 4 if cell is nn.LSTM else 3
    states = model.encoder.word_embeddings(ids) + model.encoder.token_type_embeddings.weight[0]
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        for layer in range(STUDENTS[student].layers):
            prefix = f"encoder.layers.{layer}."
            weights = {
                name.removeprefix(prefix): file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118
                if name.startswith(prefix)
            }
            assert weights["weight_hh_l0_reverse"].shape == (gates * 8, 8)
            plain = cell(states.shape[-1], 8, batch_first=True, bidirectional=True)
            plain.load_state_dict(weights)
            states = plain(states)[0]
    same(states, model.encoder(ids).last_hidden_state)


@pytest.mark.parametrize("student", SEQUENCES[::2])
def test_padding_has_no_embedding_and_learns_none(student: str) -> None:
    model = make(student)
    model(**padded(text(2, 4), 9)).logits.sum().backward()
    weight = model.get_input_embeddings().weight
    assert weight.shape == (50, 8)
    assert weight[0].abs().max() == 0
    assert weight.grad[0].abs().max() == 0


@every_student
def test_the_seed_decides_the_start(student: str) -> None:
    first, second = make(student), make(student)
    for (name, one), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other), name
    torch.manual_seed(1)
    third = registry.create(student, **SIZES)
    assert not torch.equal(first.classifier.weight, third.classifier.weight)
