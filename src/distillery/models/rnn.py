"""Bidirectional LSTM and GRU students."""

from typing import Any, ClassVar

from torch import Tensor, nn

from distillery.kernels import rnn
from distillery.models.base import Encoder
from distillery.models.heads import Classifier


class RNNEncoder(Encoder):
    """Layers of a bidirectional RNN; the backward direction begins at a text's own end.

    The weights keep the names and the layout of `nn.LSTM` and `nn.GRU`.
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
        for layer in self.layers:
            states.append(rnn.run(layer, states[-1], mask))  # type: ignore[arg-type]
        return states[1:], []


class LSTMEncoder(RNNEncoder):
    cell_class = nn.LSTM


class GRUEncoder(RNNEncoder):
    cell_class = nn.GRU


class LSTMClassifier(Classifier):
    encoder_class = LSTMEncoder


class GRUClassifier(Classifier):
    encoder_class = GRUEncoder
