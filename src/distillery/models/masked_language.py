"""A masked language model that computes its vocabulary's logits at the masked places alone.

Of five words one is masked, so four fifths of the largest matmul of such a model are spared.
"""

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear, pad
from transformers.modeling_outputs import MaskedLMOutput

from distillery.errors import UserError, reason
from distillery.kernels import fast_bert

MULTIPLE = 512  # of the places computed: few shapes of these large blocks, or memory fragments


def padding(count: int) -> int:
    """How many places are computed beyond `count` masked ones."""
    return -count % MULTIPLE


class MaskedLanguageModel(nn.Module):
    """BERT with the head that names masked words; the word embeddings are the head's weights.

    mask_token: the id that stands where a word is to be named.
    """

    def __init__(self, folder: Path, mask_token: int) -> None:
        super().__init__()
        from transformers import AutoConfig, BertForMaskedLM

        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            if config.model_type != "bert":
                raise UserError(
                    f"{folder} is of type {config.model_type}: only bert is pretrained further"
                )
            model: Any = BertForMaskedLM.from_pretrained(
                folder, use_safetensors=True, dtype="float32"
            )
        except UserError:
            raise
        except Exception as error:  # a loader's many errors all mean: not a whole model
            raise UserError(f"{folder} holds no whole model ({reason(error)})") from None
        fast_bert.use_attention_in(model)
        self.mask_token = mask_token
        self.encoder = model.bert
        self.transform = model.cls.predictions.transform
        self.bias = model.cls.predictions.bias

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> MaskedLMOutput:
        """(B, T) -> logits (M, V) of the masked places, row by row, and some `padding`."""
        states = self.encoder(input_ids, attention_mask, token_type_ids).last_hidden_state
        places = (input_ids == self.mask_token).flatten().nonzero()[:, 0]
        places = pad(places, (0, padding(len(places))))
        states = self.transform(states.flatten(0, 1)[places])
        words = self.encoder.embeddings.word_embeddings.weight
        return MaskedLMOutput(logits=linear(states, words, self.bias))  # type: ignore[arg-type]
