"""Scaled dot-product attention, with a backward pass that is fast in bf16 on a CPU.

PyTorch's fused attention keeps no (T, T) matrix, but its backward kernel for CPUs runs bf16 at a
third of the speed of plain batched matmuls, and at a tenth on short texts. Here the forward pass
is PyTorch's, and the backward pass takes a few heads at a time, so that their matrices stay in
the processor's caches. With scores S = s Q K^T, weights P = exp(S - L), where L is the
logarithm of the sum of exp(S) over keys that the forward pass leaves, output O = P V, and the
gradient G of O (Dao et al. 2022, arXiv:2205.14135, appendix B.4):

    dV = P^T G    dS = P (G V^T - D), D = sum(G O)    dQ = s dS K    dK = s dS^T Q

L and D are subtracted, and padding is hidden, inside the matmuls: as further columns of Q, K, G
and V, in two parts each so that bf16 loses little of them. s Q, P and dS are rounded to bf16, as
they are where attention is written out: PyTorch's kernel is some three times nearer to the exact
gradient, ten times where a few keys have all the weight.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from distillery import kernels

NAME = "distillery"  # under which models of transformers know it
CELLS = 2**20  # of the (T, T) matrices held at a time: 2 MB in bf16
HIDDEN = -1e4  # added to the score of padding: its weight is exactly zero


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float
    ) -> Tensor:
        hide = None
        if mask is not None:
            hide = torch.where(mask, 0.0, HIDDEN).to(query.dtype)[:, None, None, :]
        found, normalizer = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, attn_mask=hide, scale=scale
        )
        ctx.save_for_backward(query, key, value, found, normalizer, hide)
        ctx.scale = scale
        result: Tensor = found
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, found, normalizer, hide = ctx.saved_tensors
        texts, heads, queries, width = query.shape
        keys, dtype = key.shape[2], query.dtype
        ones = [1.0] * len(minus := _parts(-normalizer, dtype))
        product = -(grad.to(normalizer.dtype) * found).sum(dim=-1)
        scaled = query * ctx.scale
        if hide is None:
            q, k = _beside(scaled, *minus), _beside(key, *ones)
        else:
            q, k = _beside(scaled, *minus, 1.0), _beside(key, *ones, hide.transpose(2, 3))
        g, v = _beside(grad, *_parts(product, dtype)), _beside(value, *ones)
        scaled_key = (key * ctx.scale).flatten(0, 1)
        new = query.new_empty
        grads = [new(texts * heads, length, width) for length in (queries, keys, keys)]
        count = max(1, CELLS // (queries * keys))
        for start in range(0, texts * heads, count):
            some = slice(start, start + count)
            to_query, to_key, to_value = (tensor[some] for tensor in grads)
            weights = torch.bmm(q[some], k[some].transpose(1, 2)).exp_()
            to_scores = torch.bmm(g[some], v[some].transpose(1, 2)).mul_(weights)
            torch.bmm(weights.transpose(1, 2), g[some, :, :width], out=to_value)
            torch.bmm(to_scores, scaled_key[some], out=to_query)
            torch.bmm(to_scores.transpose(1, 2), q[some, :, :width], out=to_key)
        return *(tensor.view(texts, heads, -1, width) for tensor in grads), None, None


def _parts(values: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """(B, heads, T) -> tensors (B, heads, T, 1) of a type whose sum is nearer than one alone."""
    high = values.to(dtype)
    parts = [high] if dtype == values.dtype else [high, (values - high).to(dtype)]
    return [part[..., None] for part in parts]


def _beside(tensor: Tensor, *columns: Tensor | float) -> Tensor:
    """(B, heads, T, W) and further columns -> (B * heads, T, W + columns)."""
    texts, heads, length, width = tensor.shape
    found = tensor.new_empty(texts, heads, length, width + len(columns))
    found[..., :width] = tensor
    for place, column in enumerate(columns, start=width):
        found[..., place : place + 1] = column
    return found.flatten(0, 1)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """(B, heads, Q, W), (B, heads, T, W) twice and mask (B, T), true on text -> (B, heads, Q, W).

    scale: of the scores, 1 / sqrt(W) unless given. Where autograd, a CPU and bf16 come together
    and there is no dropout, the backward pass is the one of this module; else it is PyTorch's.
    """
    if scale is None:
        scale = float(query.shape[-1] ** -0.5)
    learns = torch.is_grad_enabled() and query.requires_grad and not dropout
    if learns and query.device.type == "cpu" and query.dtype == torch.bfloat16 and kernels.on():
        result: Tensor = _Attention.apply(query, key, value, mask, scale)  # type: ignore[no-untyped-call]
        return result
    hide = None if mask is None else mask[:, None, None, :]
    return scaled_dot_product_attention(query, key, value, hide, dropout, scale=scale)


def _mask(*_: Any, attention_mask: Tensor | None = None, **__: Any) -> Tensor | None:
    """The mask of transformers (B, T), true on text; None where nothing is hidden, unless it would
    have to wait for a GPU to say so."""
    hides = attention_mask is not None and (attention_mask.is_cuda or not attention_mask.all())
    return attention_mask if hides else None


def use_in(model: Any) -> None:
    """Makes a model of transformers pass its attention layers the mask (B, T) unchanged, or None
    if nothing is hidden, as `attend` expects."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionMaskInterface.register(NAME, _mask)
    AttentionInterface.register(NAME, attend)
    model.set_attn_implementation(NAME)
