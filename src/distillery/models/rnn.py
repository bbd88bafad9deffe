"""Bidirectional LSTM and GRU students."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from distillery.kernels import gru
from distillery.models.base import Classifier, Encoder, is_exported


class RNNEncoder(Encoder):
    """Layers of a bidirectional RNN; the backward direction begins at a text's own end.

    The weights keep the names and the layout of `nn.LSTM` and `nn.GRU`. On a GPU the layers run
    as they are, over packed sequences. On a CPU packing leaves the fused kernels and is 7 to 12
    times slower (64 texts of 200 to 256 pieces), so there the texts stay padded, and the backward
    direction reads them turned round in place: the same function of the text. Each direction of
    an LSTM runs by itself; a GRU's are computed in `gru`, except in a model that is being
    exported. An RNN has no attentions.
    """

    cell_class: ClassVar[type[nn.LSTM | nn.GRU]]

    def build(self, config: Any) -> None:
        inputs = [config.embedding_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(
            self.cell_class(size, config.hidden_size // 2, batch_first=True, bidirectional=True)
            for size in inputs
        )

    def encode(
        self, embedded: Tensor, mask: Tensor, with_attentions: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        if with_attentions:
            raise ValueError(f"{type(self).__name__} has no attentions to give")
        states = [embedded]
        run = _packed if embedded.is_cuda else _padded
        for layer in self.layers:
            assert isinstance(layer, nn.LSTM | nn.GRU)
            states.append(run(layer, states[-1], mask))
        return states[1:], []


def _packed(layer: nn.LSTM | nn.GRU, inputs: Tensor, mask: Tensor) -> Tensor:
    """(B, T, E) -> (B, T, H) by the layer itself, zero on padding."""
    lengths = mask.sum(dim=1).cpu()
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=mask.shape[1])[0]


def _padded(layer: nn.LSTM | nn.GRU, inputs: Tensor, mask: Tensor) -> Tensor:
    """What `_packed` gives, over padded texts."""
    lengths = mask.sum(dim=1, keepdim=True)  # (B, 1)
    places = torch.arange(mask.shape[1])[None, :]  # (1, T)
    turned = torch.where(places < lengths, lengths - 1 - places, places)  # (B, T)
    if isinstance(layer, nn.GRU) and not is_exported():
        states = gru.bidirectional(layer, inputs, turned)
    else:
        if torch.is_autocast_enabled("cpu"):  # once, for both directions
            inputs = inputs.to(torch.get_autocast_dtype("cpu"))
        texts = torch.arange(mask.shape[0])[:, None]  # (B, 1)
        order = (turned + texts * mask.shape[1]).flatten()
        forward = _one_direction(layer, inputs, "")
        backward = _turned(_one_direction(layer, _turned(inputs, order), "_reverse"), order)
        states = torch.cat([forward, backward], dim=-1)
    return states * mask[:, :, None].to(states.dtype)


def _turned(states: Tensor, order: Tensor) -> Tensor:
    """(B, T, H) with its vectors, counted through the batch, in another order (B * T,).

    Whole vectors are copied: `gather` would look up every number by itself.
    """
    return states.flatten(0, 1).index_select(0, order).view(states.shape)


def _one_direction(layer: nn.LSTM | nn.GRU, inputs: Tensor, suffix: str) -> Tensor:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [getattr(layer, name + suffix) for name in names]
    start = inputs.new_zeros(1, inputs.shape[0], layer.hidden_size)
    # biases, layers, dropout, training, bidirectional, batch first
    options = (True, 1, 0.0, layer.training, False, True)
    if isinstance(layer, nn.LSTM):
        return torch.lstm(inputs, (start, start), weights, *options)[0]
    return torch.gru(inputs, start, weights, *options)[0]


class LSTMEncoder(RNNEncoder):
    cell_class = nn.LSTM


class GRUEncoder(RNNEncoder):
    cell_class = nn.GRU


class LSTMClassifier(Classifier):
    encoder_class: ClassVar[type[nn.Module]] = LSTMEncoder


class GRUClassifier(Classifier):
    encoder_class: ClassVar[type[nn.Module]] = GRUEncoder
