"""Each loss on layers against a value worked out by hand, padding in it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from distillery.distillation import layer_losses as on
from distillery.distillation import losses
from distillery.distillation.layers import EVERYTHING, Layers, Source
from distillery.errors import UserError

# Two texts of two places; the second text is one token and one of padding.
MASK = torch.tensor([[1, 1], [1, 0]])
LOGITS = torch.zeros(2, 2)


def source(layers: int = 1, width: int = 2, heads: int = 1) -> Source:
    return Source("a model", EVERYTHING, layers, width, width, heads, 512)


def states(*values: Any) -> Layers:
    """A (B, T, H) list for the embeddings and for each layer."""
    return Layers(LOGITS, tuple(torch.tensor(value, dtype=torch.float32) for value in values))


def value(loss: on.LayerLoss, student: Layers, teacher: Layers) -> float:
    return float(loss(student, teacher, MASK).detach())


ZERO = [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
# Squared and averaged over two columns: 1/2 and 2 in the first text, 8 in the second, and what
# stands on padding, which must count nothing.
STATES = [[[1.0, 0.0], [0.0, 2.0]], [[4.0, 0.0], [99.0, 99.0]]]
DISTANCE = ((0.5 + 2) / 2 + 8) / 2


def test_mean_over_text_weighs_every_text_alike() -> None:
    assert on.mean_over_text(torch.tensor([[1.0, 3.0], [10.0, 99.0]]), MASK).item() == 6


def test_embeddings_are_compared_before_the_first_layer() -> None:
    loss = on.Embeddings(source(), source())
    assert value(loss, states(STATES, ZERO), states(ZERO, STATES)) == pytest.approx(DISTANCE)


def test_hidden_states_are_summed_over_layers_by_the_mapping() -> None:
    loss = on.Hidden(source(layers=2), source(layers=4))
    teacher = states(STATES, STATES, ZERO, STATES, ZERO)  # layers 2 and 4 are learnt from
    assert value(loss, states(STATES, ZERO, STATES), teacher) == pytest.approx(DISTANCE)
    assert value(loss, states(ZERO, STATES, STATES), teacher) == pytest.approx(2 * DISTANCE)


def test_the_mapping_of_layers_is_an_option() -> None:
    """Of a student of two layers, the second of which is zero, and a teacher of three, the second
    of which is not."""
    student, teacher = states(ZERO, STATES, ZERO), states(ZERO, ZERO, STATES, ZERO)
    for rule, expected in (
        ("uniform", 0),  # 1 from 2, 2 from 3
        ("first", 2 * DISTANCE),  # 1 from 1, 2 from 2
        ("last", 0),  # 1 from 2, 2 from 3
        ("1-3", DISTANCE),
        ("1-2+1-3", DISTANCE),
    ):
        loss = on.Hidden(source(layers=2), source(layers=3), layers=rule)
        assert value(loss, student, teacher) == pytest.approx(expected), rule
    with pytest.raises(UserError, match="layers 1-4 is impossible"):
        on.Hidden(source(layers=2), source(layers=3), layers="1-4")


def test_cosine_of_other_layers_than_the_last() -> None:
    left, right = [[[1.0, 0.0], [1.0, 0.0]]] * 2, [[[0.0, 2.0], [0.0, 3.0]]] * 2
    student, teacher = states(ZERO, left, right), states(ZERO, left, right)
    sizes = source(layers=2), source(layers=2)
    assert value(on.Cosine(*sizes), student, teacher) == pytest.approx(0, abs=1e-6)
    assert value(on.Cosine(*sizes, layers="1-2"), student, teacher) == pytest.approx(1)
    assert value(on.Cosine(*sizes, layers="1-2+2-1"), student, teacher) == pytest.approx(2)


def test_attention_and_values_of_chosen_layers() -> None:
    """Of chosen layers that are equal nothing is left to learn; of others something is."""
    torch.manual_seed(0)
    teacher = random_layers(1, 3, 4, 2)
    student = Layers(
        LOGITS,
        teacher.hidden_states[:3],
        *(tuple(part[:2]) for part in (teacher.queries, teacher.keys, teacher.values)),
    )
    mask = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    sizes = source(layers=2, width=4, heads=2), source(layers=3, width=4, heads=2)
    for kind in (on.Attention, on.ValueRelations):
        for rule, alike in (("first", True), ("2-2", True), ("last", False), ("1-3", False)):
            loss = kind(*sizes, layers=rule)(student, teacher, mask).item()
            assert (abs(loss) < 1e-6) == alike, rule


def test_projection_maps_the_students_width_to_the_teachers() -> None:
    loss = on.Hidden(source(width=1), source(width=2))
    assert isinstance(loss.projection, torch.nn.Linear)
    loss.projection.weight.data = torch.tensor([[1.0], [2.0]])
    student = states(ZERO, [[[1.0], [2.0]], [[3.0], [99.0]]])
    teacher = states(ZERO, [[[1.0, 0.0], [2.0, 4.0]], [[0.0, 6.0], [0.0, 0.0]]])
    # (1, 2) - (1, 0): 2; exact: 0; (3, 6) - (0, 6): 4.5
    assert value(loss, student, teacher) == pytest.approx((1 + 4.5) / 2)
    loss(student, teacher, MASK).backward()
    assert loss.projection.weight.grad.abs().sum() > 0


def test_equal_widths_need_no_projection() -> None:
    assert not list(on.Hidden(source(), source()).parameters())


def test_cosine_is_that_of_the_last_layer() -> None:
    student = states(ZERO, STATES, [[[1.0, 0.0], [3.0, 4.0]], [[-2.0, 0.0], [5.0, 5.0]]])
    teacher = states(ZERO, [[[5.0, 0.0], [4.0, 3.0]], [[1.0, 0.0], [-1.0, -1.0]]])
    # 1 - 1, 1 - 24/25, and 1 + 1
    loss = on.Cosine(source(layers=2), source())
    assert value(loss, student, teacher) == pytest.approx((0.02 + 2) / 2, abs=1e-6)


def projected(
    queries: Any, keys: Any, heads: int = 1, values: Any = None, layers: int = 1
) -> Layers:
    """Of each layer the same, from (B, T, H) lists, cut into heads."""

    def split(rows: Any) -> tuple[Tensor, ...]:
        return (torch.tensor(rows).float().unflatten(2, (heads, -1)),) * layers

    return Layers(LOGITS, (), split(queries), split(keys), split(values or keys))


def test_attention_is_the_mean_square_between_scores_of_text() -> None:
    one = [[[1.0], [2.0]], [[3.0], [9.0]]]  # width 1: the scores are q_i k_j
    two = [[[1.0], [1.0]], [[1.0], [7.0]]]
    # first text: scores 1 1 2 2 against 1 1 1 1: 2/4; second: 3 against 1: 4
    loss = on.Attention(source(), source())
    assert value(loss, projected(one, two), projected(two, two)) == pytest.approx((0.5 + 4) / 2)


def test_attention_scores_are_scaled_by_the_width_of_a_head() -> None:
    four = [[[2.0] * 4] * 2] * 2  # scores 16 / sqrt(4) = 8
    one = [[[1.0]] * 2] * 2  # scores 1
    loss = on.Attention(source(width=4), source(width=1))
    assert value(loss, projected(four, four), projected(one, one)) == pytest.approx(49)


def test_attention_is_that_of_scores_written_out() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])

    def layers(width: int, count: int) -> Layers:
        parts = [tuple(torch.randn(2, 5, 3, width) for _ in range(count)) for _ in range(3)]
        return Layers(LOGITS, (), *parts)

    student, teacher = layers(4, 2), layers(6, 4)
    expected = torch.tensor(0.0)
    for place, layer in ((0, 1), (1, 3)):
        for text, length in ((0, 5), (1, 3)):
            scores = [
                torch.einsum(
                    "qhw,khw->hqk", found.queries[at][text, :length], found.keys[at][text, :length]
                )
                / width**0.5
                for found, at, width in ((student, place, 4), (teacher, layer, 6))
            ]
            expected += (scores[0] - scores[1]).square().mean() / 2
    loss = on.Attention(source(layers=2, heads=3), source(layers=4, heads=3))
    torch.testing.assert_close(loss(student, teacher, mask), expected)


def test_value_relations_are_the_divergence_of_softened_products() -> None:
    root = math.sqrt(math.log(3))
    flat = [[[0.0], [0.0]], [[0.0], [0.0]]]  # relations 1/2, 1/2
    steep = [[[root], [0.0]], [[5.0], [7.0]]]  # products ln 3 and 0: relations 3/4, 1/4; 1/2, 1/2
    loss = on.ValueRelations(source(), source())
    # first token: KL of (3/4, 1/4) from (1/2, 1/2); second token 0; a text of one token: 0
    expected = (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2 / 2
    assert value(loss, projected(flat, flat), projected(steep, steep)) == pytest.approx(
        expected, abs=1e-6
    )
    assert value(loss, projected(steep, steep), projected(steep, steep)) == 0


def test_value_relations_read_the_last_layer_cut_into_the_heads_asked_for() -> None:
    root = math.sqrt(math.log(3))
    wide = [[[root, 0.0], [0.0, 0.0]]] * 2
    flat = [[[0.0, 0.0], [0.0, 0.0]]] * 2
    loss = on.ValueRelations(source(width=2, heads=1), source(width=2, heads=2), heads=2.0)
    student, teacher = projected(flat, flat, layers=3), projected(wide, wide, heads=2)
    # in head 0 as above, in head 1 nothing: half of it, in the first text alone
    expected = (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2 / 2 / 2
    assert value(loss, student, teacher) == pytest.approx(expected, abs=1e-6)


def test_heads_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(UserError, match="compares heads one by one: a model has 1, a model 2"):
        on.Attention(source(heads=1), source(heads=2))
    with pytest.raises(UserError, match="value_relations needs its option heads"):
        on.ValueRelations(source(heads=1), source(heads=2))
    for heads in (3.0, 1.5):
        with pytest.raises(UserError, match=f"heads {heads:g} of loss value_relations"):
            on.ValueRelations(source(width=4), source(width=6), heads=heads)


LIVE = [name for name, loss in losses.LOSSES.items() if loss.needs in EVERYTHING]


def random_layers(seed: int, layers: int, width: int, heads: int) -> Layers:
    draw = torch.Generator().manual_seed(seed)
    hidden = [torch.randn(2, 5, width, generator=draw) for _ in range(layers + 1)]
    parts = [
        tuple(
            torch.randn(2, 5, heads, width // heads, generator=draw, requires_grad=True)
            for _ in range(layers)
        )
        for _ in range(3)
    ]
    return Layers(LOGITS, tuple(h.requires_grad_() for h in hidden), *parts)


def tensors(found: Layers) -> list[Tensor]:
    return [*found.hidden_states, *found.queries, *found.keys, *found.values]


@pytest.mark.parametrize("name", LIVE)
def test_padding_changes_nothing_and_learns_nothing(name: str) -> None:
    torch.manual_seed(0)
    loss = losses.Losses(
        ((name, 2.0, {}),),
        "classification",
        source(layers=2, width=4, heads=2),
        source(layers=3, width=6, heads=2),
    )
    mask = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    student, teacher = random_layers(1, 2, 4, 2), random_layers(2, 3, 6, 2)
    before = loss(student, teacher, {"attention_mask": mask})
    before.backward()
    gradients = [t.grad for t in tensors(student) if t.grad is not None]
    assert gradients
    assert any(grad.abs().sum() > 0 for grad in gradients)
    assert all(grad[1, 3:].abs().max() == 0 for grad in gradients)
    with torch.no_grad():
        for tensor in (*tensors(student), *tensors(teacher)):
            tensor[1, 3:] += 10
    torch.testing.assert_close(loss(student, teacher, {"attention_mask": mask}), before)


@pytest.mark.parametrize("name", LIVE)
def test_a_batch_is_the_mean_of_its_texts(name: str) -> None:
    torch.manual_seed(0)
    sizes = source(layers=2, width=4, heads=2), source(layers=3, width=6, heads=2)
    loss = losses.Losses(((name, 1.0, {}),), "classification", *sizes)
    mask = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    student, teacher = random_layers(1, 2, 4, 2), random_layers(2, 3, 6, 2)

    def row(found: Layers, index: int) -> Layers:
        one = [tuple(t[index : index + 1] for t in part) for part in (
            found.hidden_states, found.queries, found.keys, found.values
        )]  # fmt: skip
        return Layers(LOGITS[:1], *one)

    alone = [
        loss(row(student, i), row(teacher, i), {"attention_mask": mask[i : i + 1]}) for i in (0, 1)
    ]
    whole = loss(student, teacher, {"attention_mask": mask})
    torch.testing.assert_close(whole, torch.stack(alone).mean())


def test_losses_on_layers_and_on_logits_are_added_by_weight() -> None:
    terms: losses.Terms = (("embeddings", 3.0, {}), ("mse", 0.5, {}))
    batch = {"attention_mask": MASK}
    teacher = replace(states(ZERO, ZERO), logits=torch.full((2, 2), 2.0))
    loss = losses.Losses(terms, "classification", source(), source())
    found = loss(states(STATES, ZERO), teacher, batch)
    assert found.item() == pytest.approx(3 * DISTANCE + 0.5 * 4)


def test_logits_without_a_loss_have_a_gradient_of_zero() -> None:
    student = replace(states(STATES, ZERO), logits=torch.ones(2, 2, requires_grad=True))
    loss = losses.Losses((("embeddings", 1.0, {}),), "classification", source(), source())
    loss(student, states(ZERO, ZERO), {"attention_mask": MASK}).backward()
    assert torch.equal(student.logits.grad, torch.zeros(2, 2))


def test_what_a_model_does_not_give_is_refused_by_name() -> None:
    rnn = Source("student bilstm", ("hidden_states",), 1, 8, 8, 0, 512)
    losses.Losses((("hidden", 1.0, {}),), "classification", rnn, source())
    with pytest.raises(UserError, match="the attentions of student bilstm"):
        losses.Losses((("attention", 1.0, {}),), "classification", rnn, source())
    with pytest.raises(UserError, match="the values of student bilstm"):
        losses.Losses((("value_relations", 1.0, {"heads": 2.0}),), "classification", rnn, source())
