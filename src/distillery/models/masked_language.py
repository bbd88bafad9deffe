"""A masked language model that computes logits over its vocabulary at masked positions only.

One word in five is masked, so this saves four fifths of the largest matmul of such a model.
"""

from pathlib import Path

from torch import Tensor, nn
from torch.nn.functional import linear, pad
from transformers.modeling_outputs import MaskedLMOutput

from distillery.errors import UserError
from distillery.kernels import fast_bert
from distillery.models import auto

MULTIPLE = 512  # of the positions computed: few shapes of large tensors fragment memory less


def padding(count: int) -> int:
    """How many positions are computed beyond the `count` masked ones."""
    return -count % MULTIPLE


class MaskedLanguageModel(nn.Module):
    """BERT with the head that predicts masked words; its weights are the word embeddings.

    mask_token: the id at positions to predict.
    """

    def __init__(self, folder: Path, mask_token: int) -> None:
        super().__init__()
        from transformers import BertForMaskedLM

        config = auto.read_config(folder)
        if config.model_type != "bert":
            raise UserError(
                f"{folder} is of type {config.model_type}: only bert is pretrained further"
            )
        model = auto.load(BertForMaskedLM, folder)
        fast_bert.use_attention_in(model)
        self.mask_token = mask_token
        self.encoder = model.bert
        self.transform = model.cls.predictions.transform
        self.bias = model.cls.predictions.bias

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> MaskedLMOutput:
        """(B, T) -> logits (M, V) at masked positions, row by row, and some `padding`."""
        states = self.encoder(input_ids, attention_mask, token_type_ids).last_hidden_state
        positions = (input_ids == self.mask_token).flatten().nonzero()[:, 0]
        positions = pad(positions, (0, padding(len(positions))))
        states = self.transform(states.flatten(0, 1)[positions])
        words = self.encoder.embeddings.word_embeddings.weight
        return MaskedLMOutput(logits=linear(states, words, self.bias))  # type: ignore[arg-type]
