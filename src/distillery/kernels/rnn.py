"""Bidirectional LSTM and GRU layers over texts of several lengths.

`run` is the one call. On a GPU, or with kernels off, `packed` runs the layer itself over packed
sequences. On a CPU packing leaves the fused kernels and is 7 to 12 times slower (64 texts of 200 to
256 tokens), so `padded` computes the same function over padded texts, each of them reversed in
place for the backward direction: an LSTM a direction at a time, a GRU by `GRUFunction`.

`nn.GRU` has no fused kernel on a CPU: PyTorch records some ten small operations a step for
autograd, a direction at a time. In `GRUFunction` both directions advance together, one batched
matmul a step, and the backward pass is derived by hand. With x the input, h the state, and W, U, b,
c the weights and biases of `nn.GRU`:

    r = sigmoid(W_r x + b_r + U_r h + c_r)      z = sigmoid(W_z x + b_z + U_z h + c_z)
    q = U_n h + c_n                             n = tanh(W_n x + b_n + r q)
    h' = n + z (h - n)

Products with the inputs and all gradients of weights are computed for CHUNK steps at once, in the
lower precision where autocast is on; the recurrence itself stays in fp32. Between two chunks the
numbers are still in the processor's caches.
"""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from distillery import kernels

NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")  # of a direction's weights
CHUNK = 32  # steps
tanh_backward = torch.ops.aten.tanh_backward
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


def run(layer: nn.LSTM | nn.GRU, inputs: Tensor, mask: Tensor) -> Tensor:
    """(B, T, E) and mask (B, T), 1 on text -> (B, T, 2h), zero on padding. The layer has one
    layer, two directions, and its batch first; the backward one begins at each text's own end."""
    exported = kernels.is_exported()  # packed sequences can't be
    if inputs.is_cuda or not (exported or kernels.on()):
        return packed(layer, inputs, mask)
    return padded(layer, inputs, mask)


def packed(layer: nn.LSTM | nn.GRU, inputs: Tensor, mask: Tensor) -> Tensor:
    """`run` by the layer itself."""
    lengths = mask.sum(dim=1).cpu()
    sequence = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    states = layer(sequence)[0]
    return pad_packed_sequence(states, batch_first=True, total_length=mask.shape[1])[0]


def padded(layer: nn.LSTM | nn.GRU, inputs: Tensor, mask: Tensor) -> Tensor:
    """`run` over padded texts."""
    lengths = mask.sum(dim=1, keepdim=True)  # (B, 1)
    positions = torch.arange(mask.shape[1])[None, :]  # (1, T)
    reverse = torch.where(positions < lengths, lengths - 1 - positions, positions)  # (B, T)
    if isinstance(layer, nn.GRU) and not kernels.is_exported():
        states = bidirectional_gru(layer, inputs, reverse)
    else:
        if torch.is_autocast_enabled("cpu"):  # once, for both directions
            inputs = inputs.to(torch.get_autocast_dtype("cpu"))
        texts = torch.arange(mask.shape[0])[:, None]  # (B, 1)
        order = (reverse + texts * mask.shape[1]).flatten()
        forward = _one_direction(layer, inputs, "")
        backward = _reordered(_one_direction(layer, _reordered(inputs, order), "_reverse"), order)
        states = torch.cat([forward, backward], dim=-1)
    return states * mask[:, :, None].to(states.dtype)


def _reordered(states: Tensor, order: Tensor) -> Tensor:
    """(B, T, H) with its vectors, counted through the batch, in another order (B * T,).

    Whole vectors are copied: `gather` would look up every number by itself.
    """
    return states.flatten(0, 1).index_select(0, order).view(states.shape)


def _one_direction(layer: nn.LSTM | nn.GRU, inputs: Tensor, suffix: str) -> Tensor:
    weights = [getattr(layer, name + suffix) for name in NAMES]
    start = inputs.new_zeros(1, inputs.shape[0], layer.hidden_size)
    # biases, layers, dropout, training, bidirectional, batch first
    options = (True, 1, 0.0, layer.training, False, True)
    if isinstance(layer, nn.LSTM):
        return torch.lstm(inputs, (start, start), weights, *options)[0]
    return torch.gru(inputs, start, weights, *options)[0]


class GRUFunction(torch.autograd.Function):
    """inputs (2, T, B, E), the second direction's texts reversed; weight_ih (2, 3h, E),
    weight_hh (2, 3h, h), bias_ih and bias_hh (2, 3h) -> states (T, 2, B, h)."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
    ) -> Tensor:
        _, steps, rows, _ = inputs.shape
        width = weight_hh.shape[2]
        project = weight_ih.transpose(1, 2).to(inputs.dtype).contiguous()
        recur = weight_hh.transpose(1, 2).contiguous()
        bias = torch.cat([(bias_ih + bias_hh)[:, : 2 * width], bias_ih[:, 2 * width :]], dim=1)
        bias = bias[:, None].to(inputs.dtype)
        new = weight_hh.new_empty
        gates = new(steps, 2, rows, 3 * width)  # r, z, q
        candidates = new(steps, 2, rows, width)  # W_n x + b_n, then n
        states = new(steps + 1, 2, rows, width)
        states[0] = 0
        each = zip(
            gates.unbind(),
            gates[..., : 2 * width].unbind(),
            *(part.unbind() for part in gates.split(width, dim=-1)),
            candidates.unbind(),
            states[:-1].unbind(),
            states[1:].unbind(),
            strict=True,
        )
        for start in range(0, steps, CHUNK):
            chunk = slice(start, min(steps, start + CHUNK))
            projected = torch.baddbmm(bias, inputs[:, chunk].flatten(1, 2), project)
            by_step = projected.view(2, chunk.stop - start, rows, 3 * width).transpose(0, 1)
            gates[chunk, ..., : 2 * width] = by_step[..., : 2 * width]
            gates[chunk, ..., 2 * width :] = bias_hh[:, None, 2 * width :]
            candidates[chunk] = by_step[..., 2 * width :]
            for gate, r_and_z, r, z, q, n, before, after in itertools.islice(each, CHUNK):
                gate.baddbmm_(before, recur)
                r_and_z.sigmoid_()
                n.addcmul_(r, q).tanh_()
                torch.lerp(n, before, z, out=after)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, candidates, states)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        inputs, weight_ih, weight_hh, gates, candidates, states = ctx.saved_tensors
        _, steps, rows, _ = inputs.shape
        width = weight_hh.shape[2]
        low = inputs.dtype  # of the products over many steps
        project = weight_ih.to(low)
        grad_inputs = torch.empty_like(inputs)
        grad_ih, grad_hh = torch.zeros_like(weight_ih), torch.zeros_like(weight_hh)
        grad_bias, grad_bias_q = weight_hh.new_zeros(2, 3 * width), weight_hh.new_zeros(2, width)
        incoming = grad.unbind()
        grad_state = incoming[-1].contiguous()  # d loss / d h'
        for stop in range(steps, 0, -CHUNK):
            start = max(0, stop - CHUNK)
            chunk = slice(start, stop)
            r, z, q = gates[chunk].split(width, dim=-1)
            n, before = candidates[chunk], states[chunk]
            grads = r.new_empty(stop - start, 2, rows, 3, width)
            to_r, to_z, to_q = grads.unbind(dim=3)
            # d h' / d(the argument of tanh), of r's and z's sigmoid, and q: the factor
            # d loss / d h' comes in the loop
            by_n = tanh_backward(1 - z, n)
            torch.mul(by_n, r, out=to_q)
            sigmoid_backward(by_n * q, r, grad_input=to_r)
            sigmoid_backward(before - n, z, grad_input=to_z)
            flat = grads.view(-1, 2, rows, 3 * width)
            grad_states = torch.empty_like(by_n)
            grad_states[-1] = grad_state
            each = zip(grads.unbind(), flat.unbind(), z.unbind(), grad_states.unbind(), strict=True)
            later = [*each]
            for at in range(len(later) - 1, -1, -1):
                by_gate, here, keeps, kept = later[at]
                by_gate.mul_(kept[:, :, None])
                if start + at:
                    grad_state = later[at - 1][3] if at else torch.empty_like(kept)
                    torch.addcmul(incoming[start + at - 1], kept, keeps, out=grad_state)
                    grad_state.baddbmm_(here, weight_hh)
            lowered = _by_direction(flat, low)
            one = lowered.new_ones(2, 1, lowered.shape[1])
            grad_bias_q += torch.bmm(one, lowered[..., 2 * width :])[:, 0]
            grad_hh += torch.bmm(lowered.transpose(1, 2), _by_direction(before, low))
            lowered[..., 2 * width :] = _by_direction(by_n.mul_(grad_states), low)
            grad_bias += torch.bmm(one, lowered)[:, 0]
            grad_ih += torch.bmm(lowered.transpose(1, 2), inputs[:, chunk].flatten(1, 2))
            grad_inputs[:, chunk] = torch.bmm(lowered, project).view_as(inputs[:, chunk])
        grad_bias_hh = torch.cat([grad_bias[:, : 2 * width], grad_bias_q], dim=1)
        return grad_inputs, grad_ih, grad_hh, grad_bias, grad_bias_hh


def _by_direction(chunk: Tensor, dtype: torch.dtype) -> Tensor:
    """(steps, 2, B, W) -> (2, steps * B, W)."""
    steps, _, rows, width = chunk.shape
    found = torch.empty(2, steps, rows, width, dtype=dtype)
    return found.copy_(chunk.transpose(0, 1)).view(2, steps * rows, width)


class _Gather(torch.autograd.Function):
    """Rows of (N, W) in another order; the backward pass gathers by the inverse order."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (inverse,) = ctx.saved_tensors
        return grad.contiguous().index_select(0, inverse), None, None


def bidirectional_gru(layer: nn.GRU, inputs: Tensor, reverse: Tensor) -> Tensor:
    """(B, T, E) -> (B, T, 2h), what a one-layer bidirectional `nn.GRU` gives.

    reverse: (B, T), the position that each position is swapped with to reverse the texts. Padding
    stays at the end, so neither direction reads it before the text; states on padding are
    meaningless.
    """
    rows, length, width = inputs.shape
    low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else inputs.dtype
    weights = [
        torch.stack([getattr(layer, name), getattr(layer, f"{name}_reverse")]) for name in NAMES
    ]
    row = torch.arange(rows)[:, None] * length  # (B, 1)
    place = torch.arange(length).expand(rows, length)
    direction = torch.arange(2)[:, None, None] * rows * length
    # of each (direction, step, row) the place in (direction, row, step)
    from_texts = (direction + torch.stack([row + place, row + reverse])).transpose(1, 2).flatten()
    to_texts = torch.empty_like(from_texts)
    to_texts[from_texts] = torch.arange(len(from_texts))
    # of each (step, direction, row) of the states the place in (direction, row, step)
    from_states = from_texts.view(2, length, rows).transpose(0, 1).flatten()
    to_states = torch.empty_like(from_states)
    to_states[from_states] = torch.arange(len(from_states))
    texts = inputs.to(low).flatten(0, 1)
    both = _Gather.apply(torch.cat([texts, texts]), from_texts, to_texts)  # type: ignore[no-untyped-call]
    with torch.autocast("cpu", enabled=False):
        states = GRUFunction.apply(both.view(2, length, rows, width), *weights)  # type: ignore[no-untyped-call]
    found = _Gather.apply(states.flatten(0, 2).to(low), to_states, from_states)  # type: ignore[no-untyped-call]
    forward, backward = found.view(2, rows, length, layer.hidden_size)
    return torch.cat([forward, backward], dim=-1)
