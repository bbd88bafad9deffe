"""Bidirectional LSTM and GRU students."""

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from distillery.models.base import StudentConfig, StudentForSequenceClassification, StudentModel


class LSTMConfig(StudentConfig):
    model_type = "distillery_bilstm"


class GRUConfig(StudentConfig):
    model_type = "distillery_bigru"


class RNNModel(StudentModel):
    """Layers of a bidirectional RNN. Sequences are packed: no step is spent on padding, and the
    backward direction begins at a text's own end.

    The weights keep the names and the layout of `nn.LSTM` and `nn.GRU`. An RNN has no attentions.
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
        lengths, states = mask.sum(dim=1).cpu(), []
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        for layer in self.layers:
            packed, _ = layer(packed)
            states.append(
                pad_packed_sequence(packed, batch_first=True, total_length=mask.shape[1])[0]
            )
        return states, []


class LSTMModel(RNNModel):
    config_class = LSTMConfig
    cell_class = nn.LSTM


class GRUModel(RNNModel):
    config_class = GRUConfig
    cell_class = nn.GRU


class LSTMForSequenceClassification(StudentForSequenceClassification):
    config_class = LSTMConfig
    encoder_class = LSTMModel


class GRUForSequenceClassification(StudentForSequenceClassification):
    config_class = GRUConfig
    encoder_class = GRUModel
