"""Attention and BERT classifiers computed with less: the same function, the same gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import BertConfig, BertForSequenceClassification

from distillery.errors import UserError
from distillery.kernels import fast_bert, fused_attention

Tensors = list[Tensor]


def heads(dtype: torch.dtype, queries: int, keys: int) -> Tensors:
    torch.manual_seed(keys)
    return [
        torch.randn(3, 2, length, 8, dtype=dtype, requires_grad=True)
        for length in (queries, keys, keys)
    ]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(17, 17), (1, 17), (1, 1)])
def test_attention_and_its_gradients_are_pytorchs(queries: int, keys: int, masked: bool) -> None:
    """In fp32, whose backward pass is PyTorch's otherwise: the formula without bf16's rounding."""
    inputs = heads(torch.float32, queries, keys)
    mask = torch.arange(keys) < torch.tensor([[keys], [max(1, keys - 5)], [1]]) if masked else None
    hide = None if mask is None else mask[:, None, None]
    expected = scaled_dot_product_attention(*inputs, attn_mask=hide)
    found = fused_attention._Attention.apply(*inputs, mask, 8**-0.5)
    assert torch.allclose(found, expected, atol=1e-6)
    grad = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(out, inputs, grad) for out in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_heads_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = heads(torch.bfloat16, 9, 9)
    found = []
    for cells in (1, 2 * 81, 10**9):
        monkeypatch.setattr(fused_attention, "CELLS", cells)
        out = fused_attention.attend(*inputs, None)
        found.append(torch.autograd.grad(out.sum(), inputs))
    for some in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(some, found[0], strict=True))


@pytest.mark.parametrize("keys", [40, 256])
def test_bf16_gradients_are_off_by_bf16s_rounding(keys: int) -> None:
    """2^-8 is 0.004; a whole model's gradient is off by 0.03 in bf16 whatever attention it has."""
    low = [tensor.detach().requires_grad_() for tensor in heads(torch.bfloat16, keys, keys)]
    exact = [tensor.detach().double().requires_grad_() for tensor in low]
    out = scaled_dot_product_attention(*exact)
    grad = torch.randn_like(out).bfloat16()
    expected = torch.autograd.grad(out, exact, grad.double())
    found = torch.autograd.grad(fused_attention.attend(*low, None), low, grad)
    for one, other in zip(found, expected, strict=True):
        assert (one.double() - other).norm() / other.norm() < 0.015


def classifier(layers: int, **options: Any) -> BertForSequenceClassification:
    torch.manual_seed(layers)
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **options,
    )
    return BertForSequenceClassification(config)


def batch() -> dict[str, Tensor]:
    ids = torch.randint(1, 50, (4, 12))
    mask = (torch.arange(12) < torch.tensor([[12], [7], [1], [12]])).long()
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_bert_gives_the_same_logits_and_gradients(layers: int) -> None:
    model, inputs = classifier(layers), batch()
    found = []
    for fast in (False, True):
        if fast:
            fast_bert.use_in(model)
        model.zero_grad()
        logits = model(**inputs).logits
        (logits**2).sum().backward()
        grads = {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}
        found.append((logits.detach(), grads))
    (logits, grads), (fast_logits, fast_grads) = found
    assert torch.allclose(logits, fast_logits, atol=1e-5)
    for name, grad in grads.items():
        other = fast_grads.get(name, torch.zeros_like(grad))
        assert torch.allclose(grad, other, atol=1e-4), name


def test_what_is_saved_is_an_ordinary_bert(tmp_path: Path) -> None:
    model, inputs = classifier(2).eval(), batch()
    expected = model(**inputs).logits
    fast_bert.use_in(model)
    model.save_pretrained(tmp_path)
    assert "distillery" not in (tmp_path / "config.json").read_text()
    loaded = BertForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.allclose(loaded(**inputs).logits, expected, atol=1e-6)
    assert loaded(**inputs, output_hidden_states=True).hidden_states[-1].shape == (4, 12, 32)


def test_other_models_stay_as_they_are() -> None:
    model = classifier(1, is_decoder=True)
    fast_bert.use_in(model)
    assert model.config._attn_implementation != fused_attention.NAME
    fast_bert.use_in(torch.nn.Linear(2, 2))


def test_dropout_still_drops() -> None:
    model = classifier(2)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    fast_bert.use_in(model)
    inputs = batch()
    assert not torch.equal(model.train()(**inputs).logits, model(**inputs).logits)
    assert torch.equal(model.eval()(**inputs).logits, model(**inputs).logits)


def attend_each(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_starts: Tensor,
    key_starts: Tensor,
    longest_query: int,
    longest_key: int,
    scale: float,
) -> Tensor:
    """What PyTorch's kernel of packed texts gives, text by text, for a CPU."""
    found = []
    for text in range(len(key_starts) - 1):
        some = slice(int(query_starts[text]), int(query_starts[text + 1]))
        whole = slice(int(key_starts[text]), int(key_starts[text + 1]))
        assert some.stop - some.start <= longest_query
        assert whole.stop - whole.start <= longest_key
        q, k, v = (part.transpose(0, 1) for part in (query[some], key[whole], value[whole]))
        found.append(scaled_dot_product_attention(q, k, v, scale=scale).transpose(0, 1))
    return torch.cat(found)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_without_padding_logits_and_gradients_are_the_same(
    layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU does in bf16, with the kernel written out for the CPU."""
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", attend_each)
    model, inputs = classifier(layers), batch()
    found = []
    for packs in (False, True):
        fast_bert.use_in(model, packs=lambda *_, packs=packs: packs)
        model.zero_grad()
        logits = model(**inputs).logits
        (logits**2).sum().backward()
        found.append([logits.detach(), *(w.grad for w in model.parameters() if w.grad is not None)])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    whole = {**inputs, "attention_mask": torch.ones_like(inputs["attention_mask"])}
    unmasked = model(**whole).logits
    fast_bert.use_in(model, packs=lambda *_: False)
    assert torch.allclose(model(**whole).logits, unmasked, atol=1e-5)


def test_padding_stays_on_a_cpu() -> None:
    model = classifier(1)
    fast_bert.use_in(model)
    assert not model.bert.encoder.packs(torch.zeros(1, 2, 32))


def test_packed_texts_know_where_they_begin() -> None:
    packed = fast_bert.Packed.of(batch()["attention_mask"].bool())
    assert packed.starts.tolist() == [0, 12, 19, 20, 32]
    assert packed.starts.dtype == torch.int32
    assert packed.longest == 12


def test_compilation_changes_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[dict[str, Any]] = []
    torch_compile = torch.compile

    def traced(function: Any, **options: Any) -> Any:
        compiled.append(options)
        return torch_compile(function, backend="aot_eager", **options)

    monkeypatch.setattr(torch, "compile", traced)
    model, inputs = classifier(2).eval(), batch()
    fast_bert.use_in(model)
    expected = model(**inputs).logits
    fast_bert.compile_in(model)
    assert torch.allclose(model(**inputs).logits, expected, atol=1e-5)
    assert compiled == [{"dynamic": True}] * 2  # of each layer
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, expected), "answers are not compiled"


def test_switched_off_a_bert_is_transformers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLERY_KERNELS", "off")
    model = classifier(2)
    fast_bert.use_in(model)
    assert model.config._attn_implementation != fused_attention.NAME
    assert not any("forward" in vars(module) for module in model.modules())
    monkeypatch.setenv("DISTILLERY_KERNELS", "of")
    with pytest.raises(UserError, match="unknown DISTILLERY_KERNELS 'of': choose from on, off"):
        fast_bert.use_in(model)


def test_watched_projections_are_the_same_with_kernels_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries, keys and values of each layer, and the gradients of a loss on them."""
    model, inputs = classifier(2), batch()
    found = []
    for switch in ("on", "off"):
        monkeypatch.setenv("DISTILLERY_KERNELS", switch)
        model = classifier(2)
        seen: list[Tensor] = []
        fast_bert.use_attention_in(model, lambda *projected, seen=seen: seen.extend(projected))
        fast_bert.use_attention_in(model, lambda *projected, seen=seen: seen.extend(projected))
        model(**inputs)
        assert [tuple(part.shape) for part in seen] == [(4, 12, 4, 8)] * 6
        text = inputs["attention_mask"][:, :, None, None]
        torch.stack([(part * text).square().sum() for part in seen]).sum().backward()
        weights = [w.grad for w in model.bert.encoder.parameters() if w.grad is not None]
        found.append([*(part * text for part in seen), *weights])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
