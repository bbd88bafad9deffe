"""The bag student: hashed n-grams of word pieces, each with a vector of its own, and no order.

The fastest student: a text costs one table lookup per n-gram (Joulin et al. 2017,
arXiv:1607.01759). It has no state per piece, and so no hidden states or attentions.

The table's gradients are dense, as AdamW and gradient clipping of `transformers.Trainer` need
them. The training loop of this package makes them sparse for speed (`training.loop`).
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import can_return_tuple

from distillery.models.base import (
    StudentConfig,
    StudentForSequenceClassification,
    complete_inputs,
    initialize,
    is_exported,
    shorten,
)

_LOW = 2**31 - 1  # the bits that count
_FACTORS = (668_265_263, 374_761_393)  # odd, of no small order: any mix well


class BagConfig(StudentConfig):
    """ngrams: longest n-gram of word pieces. buckets: rows of the table they are hashed into.
    ngram_dropout: share of a text's n-grams left out in training."""

    model_type = "distillery_bag"

    embedding_size: int = 2
    ngrams: int = 2
    buckets: int = 2**20
    ngram_dropout: float = 0.0


def hashed(pieces: Tensor, mask: Tensor, ngrams: int, buckets: int) -> Tensor:
    """The buckets (B, ngrams * T) int32 of all n-grams of (B, T) pieces; `buckets` where there is
    none.

    pieces: non-negative numbers below 2^31. Exact integer arithmetic: the same on every device.
    32 bits are enough, since the lower bits of a product do not depend on the factors' higher ones.
    """
    found, text = [], mask.bool()
    own = (pieces.int() + 1) * _FACTORS[1]
    mixed = own
    for n in range(ngrams):
        if n:
            mixed = mixed[:, :-1] * _FACTORS[0] + own[:, n:] + n
        mixed = mixed & _LOW
        bucket = (mixed ^ (mixed >> 15)) * _FACTORS[1] & _LOW
        even = buckets & (buckets - 1) == 0  # a power of two needs no division
        bucket = bucket & (buckets - 1) if even else bucket % buckets
        bucket = torch.where(text[:, n:], bucket, buckets)
        found.append(nn.functional.pad(bucket, (0, min(n, pieces.shape[1])), value=buckets))
    return torch.cat(found, dim=1)


class BagModel(PreTrainedModel):
    """(B, T) -> a vector per text, `pooler_output` (B, E): the sum of its n-grams' vectors over
    the root of their number."""

    config_class: ClassVar[type] = BagConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.table = nn.EmbeddingBag(
            config.buckets + 1,
            config.embedding_size,
            mode="sum",
            padding_idx=config.buckets,
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        initialize(module)
        table = self.table.weight
        if module is self.table and not getattr(table, "_is_hf_initialized", False):
            nn.init.normal_(table, std=0.01)
            nn.init.zeros_(table[self.config.buckets])

    def get_input_embeddings(self) -> nn.Module:
        """The table of n-grams, (buckets + 1, E): it has no row per word piece."""
        return self.table

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.table = value  # type: ignore[assignment]

    def resize_token_embeddings(self, *sizes: Any, **options: Any) -> nn.Module:
        """Changes nothing, since added word pieces are hashed into the same table.

        `config.vocab_size` stays too: the hash of a pair's second text depends on it.
        """
        return self.table

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if output_hidden_states or output_attentions or self.config.output_attentions:
            raise ValueError("BagModel has no hidden states and no attentions to give")
        ids, mask, types = complete_inputs(self, input_ids, attention_mask, token_type_ids, kwargs)
        mask, types, pieces = shorten(self.config, mask, types, ids)
        pieces = pieces + types * self.config.vocab_size  # a word of the second text is another
        buckets = hashed(pieces, mask, self.config.ngrams, self.config.buckets)
        if self.training and self.config.ngram_dropout:
            left_out = torch.rand(buckets.shape, device=buckets.device) < self.config.ngram_dropout
            buckets = buckets.masked_fill(left_out, self.config.buckets)
        count = (buckets != self.config.buckets).sum(dim=1, keepdim=True)
        if is_exported():  # ONNX has no node for a bag; the row of padding is zero
            summed = nn.functional.embedding(buckets, self.table.weight).sum(dim=1)
        elif torch.is_grad_enabled():
            summed = self.table(buckets.long())  # which indices of a gradient must be
        else:  # reads the row of padding too: leaving it out takes 13 times as long
            summed = nn.functional.embedding_bag(buckets, self.table.weight, mode="sum")
        vector = summed / count.clamp(min=1).to(summed.dtype).sqrt()
        return BaseModelOutputWithPooling(pooler_output=vector)


class BagForSequenceClassification(StudentForSequenceClassification):
    config_class = BagConfig
    encoder_class = BagModel
    gives = ()

    def resize_token_embeddings(self, *sizes: Any, **options: Any) -> nn.Module:
        """As `BagModel.resize_token_embeddings`."""
        table: nn.Module = self.encoder.resize_token_embeddings(*sizes, **options)
        return table

    def build_head(self, config: Any) -> int:
        return int(config.embedding_size)

    def vector(self, encoded: Any, mask: Tensor, types: Tensor) -> Tensor:
        found: Tensor = encoded.pooler_output
        return found
