"""Each loss against a value worked out by hand."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from distillery.distillation import losses
from distillery.distillation.layers import Layers
from distillery.errors import UserError

LN2, LN3 = math.log(2), math.log(3)
# Two rows, two labels. softmax(ln 3, 0) = (3/4, 1/4); softmax(0, 0) = (1/2, 1/2).
LOGITS = torch.tensor([[LN3, 0.0], [0.0, 0.0]])
TEACHER = torch.tensor([[0.0, 0.0], [0.0, LN3]])


def value(
    name: str, weight: float = 1.0, labels: list[int] | None = None, **options: float
) -> float:
    return total(((name, weight, options),), labels=labels or [0, 1]).item()


def total(
    terms: losses.Terms, logits: torch.Tensor = LOGITS, labels: Sequence[int] = (0, 1)
) -> torch.Tensor:
    loss = losses.Losses(terms, "classification")
    batch = {"labels": torch.tensor(labels)}
    return loss(Layers(logits, ()), Layers(TEACHER, ()), batch)


def test_cross_entropy_is_the_mean_over_rows() -> None:
    # row 0, label 0: -ln 3/4; row 1, label 1: -ln 1/2
    assert value("labels") == pytest.approx((math.log(4 / 3) + LN2) / 2)


def test_rows_without_a_label_add_nothing() -> None:
    # row 0 alone, of two
    assert value("labels", labels=[0, -1]) == pytest.approx(math.log(4 / 3) / 2)


def test_no_labelled_row_is_no_loss_and_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = losses.cross_entropy(logits, torch.tensor([-1, -1]))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(2, 2))


def test_mse_is_the_mean_over_rows_and_labels() -> None:
    # squares: (ln 3)^2, 0, 0, (ln 3)^2, over four
    assert value("mse") == pytest.approx(LN3**2 / 2)


def test_kl_at_temperature_one() -> None:
    # row 0: teacher (1/2, 1/2), student (3/4, 1/4): (ln 2/3 + ln 2) / 2 = ln(4/3) / 2
    # row 1: teacher (1/4, 3/4), student (1/2, 1/2): ln(1/2) / 4 + 3 ln(3/2) / 4
    row0, row1 = math.log(4 / 3) / 2, -LN2 / 4 + 3 * math.log(3 / 2) / 4
    assert value("kl", temperature=1.0) == pytest.approx((row0 + row1) / 2, rel=1e-5)


def test_kl_softens_and_multiplies_by_the_temperature_squared() -> None:
    # At T = 2 logits of 2 ln 3 soften to those above, and the factor is 2^2.
    softened = losses.kl(2 * LOGITS, 2 * TEACHER, temperature=2.0).item()
    assert softened == pytest.approx(4 * value("kl", temperature=1.0), rel=1e-5)


def test_kl_gradient_keeps_its_size_over_temperatures() -> None:
    # Hinton et al. 2015, eq. 4: for high T the gradient of T^2 KL is (z - t) / C per row, for
    # centred logits, whatever T is.
    sizes = []
    for temperature in (50.0, 500.0):
        logits = torch.tensor([[1.0, -1.0]], requires_grad=True)
        losses.kl(logits, torch.tensor([[-1.0, 1.0]]), temperature=temperature).backward()
        sizes.append(logits.grad[0, 0].item())
    assert sizes == pytest.approx([1.0, 1.0], rel=1e-2)


def test_kl_is_zero_for_the_teachers_own_logits_shifted() -> None:
    assert losses.kl(TEACHER + 3, TEACHER).item() == pytest.approx(0, abs=1e-6)


def test_teacher_labels_is_the_cross_entropy_of_its_choice() -> None:
    # choices: label 0 (the first of equals) and label 1: as cross entropy with labels [0, 1]
    assert value("teacher_labels") == pytest.approx((math.log(4 / 3) + LN2) / 2)


def test_combined_is_the_weighted_sum() -> None:
    terms: losses.Terms = (("mse", 0.5, {}), ("kl", 2.0, {"temperature": 1.0}))
    expected = 0.5 * value("mse") + 2 * value("kl", temperature=1.0)
    assert total(terms).item() == pytest.approx(expected)


def test_loss_is_computed_in_fp32() -> None:
    assert total((("mse", 1.0, {}),), LOGITS.bfloat16()).dtype == torch.float32


def test_needs_are_those_of_all_the_losses() -> None:
    assert losses.needs((("mse", 1.0, {}),)) == {"logits"}
    assert losses.needs((("kl", 1.0, {}), ("labels", 1.0, {}))) == {"logits", "labels"}
    assert losses.needs((("hidden", 1.0, {}), ("attention", 1.0, {}))) == {
        "hidden_states",
        "attentions",
    }


@pytest.mark.parametrize("name", [n for n in losses.LOSSES if losses.on_outputs(((n, 1.0, {}),))])
def test_every_loss_goes_down_along_its_gradient(name: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    terms: losses.Terms = ((name, 1.0, {}),)
    before = total(terms, logits, [1, 0])
    before.backward()
    after = total(terms, logits.detach() - 0.1 * logits.grad, [1, 0])
    assert after < before


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ((("mean", 1.0, {}),), "unknown loss 'mean': choose from labels, mse, kl"),
        ((("kl", 1.0, {"temparature": 2.0}),), "unknown option of loss kl 'temparature'"),
        ((("mse", 1.0, {"temperature": 2.0}),), "unknown option of loss mse 'temperature'"),
        ((("kl", 1.0, {"temperature": 0.0}),), "temperature 0 of loss kl is impossible"),
        ((("kl", 1.0, {"temperature": -2.0}),), "temperature -2 of loss kl is impossible"),
        ((("kl", 1.0, {"temperature": math.nan}),), "temperature nan of loss kl is impossible"),
        ((("kl", 1.0, {"temperature": math.inf}),), "temperature inf of loss kl is impossible"),
        ((("value_relations", 1.0, {"heads": 0.0}),), "heads 0 of loss value_relations"),
        ((("kl", 1.0, {"temperature": "hot"}),), "temperature hot of loss kl is impossible"),
        ((("embeddings", 1.0, {"layers": "last"}),), "unknown option of loss embeddings 'layers'"),
    ],
)
def test_unknown_loss_option_or_value_is_refused(terms: Any, said: str) -> None:
    for use in (losses.needs, lambda terms: losses.Losses(terms, "classification")):
        with pytest.raises(UserError, match=said):
            use(terms)


def test_squared_error_is_the_mean_over_rows_and_skips_those_without_a_label() -> None:
    outputs = torch.tensor([[1.0], [5.0], [7.0]])
    labels = torch.tensor([3.0, 4.0, math.nan], dtype=torch.float64)
    assert losses.squared_error(outputs, labels).item() == pytest.approx((4 + 1) / 3)


def test_the_loss_on_labels_is_that_of_the_kind() -> None:
    batch = {"labels": torch.tensor([3.0, 4.0])}
    loss = losses.Losses((("labels", 1.0, {}),), "regression")
    assert loss(Layers(torch.tensor([[1.0], [5.0]]), ()), None, batch).item() == 2.5


def test_a_loss_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="loss kl is for classification, not for regression"):
        losses.Losses((("kl", 1.0, {}),), "regression")


def test_an_option_may_be_a_word() -> None:
    assert losses.needs((("hidden", 1.0, {"layers": "1-3+2-6"}),)) == {"hidden_states"}
