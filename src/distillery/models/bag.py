"""The bag student: the mean of vectors of hashed n-grams of word pieces, whatever their order.

The fastest student: a text costs one table lookup per n-gram (Joulin et al. 2017,
arXiv:1607.01759). It has no state per word piece, and so no hidden states or attentions.

The table's gradients are dense, which `transformers.Trainer` needs for AdamW and gradient
clipping. This package's own optimizers make them sparse for speed.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from distillery import kernels
from distillery.models.base import Encoded, Network, shorten
from distillery.models.heads import Classifier

_LOW = 2**31 - 1  # the bits that count
_FACTORS = (668_265_263, 374_761_393)  # large odd numbers: any mix well


def hashed(pieces: Tensor, mask: Tensor, ngrams: int, buckets: int) -> Tensor:
    """The buckets (B, ngrams * T) int32 of all n-grams of (B, T) word pieces; `buckets` where
    there is no n-gram.

    pieces: ids from 0 to 2^31 - 1. The arithmetic is exact, so it is the same on every device; 32
    bits suffice because the low bits of a product depend on the low bits of its factors alone.
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


class BagEncoder(Network):
    """(B, T) -> a vector per text, `pooler_output` (B, E): the sum of its n-grams' vectors over
    the root of their number.

    Its table (buckets + 1, E) has no row per word piece: added pieces are hashed into the same
    table, and `config.vocab_size` stays because the hash of a pair's second text depends on it.
    """

    embeddings_name = "table"
    resizable = False

    def make(self, config: Any) -> None:
        self.table = nn.EmbeddingBag(
            config.buckets + 1,
            config.embedding_size,
            mode="sum",
            padding_idx=config.buckets,
        )

    def initialize(self, module: nn.Module) -> None:
        super().initialize(module)
        table = self.table.weight
        if module is self.table and not getattr(table, "_is_hf_initialized", False):
            nn.init.normal_(table, std=0.01)
            nn.init.zeros_(table[self.config.buckets])

    def compute(
        self, ids: Tensor, mask: Tensor, types: Tensor, with_attentions: bool = False
    ) -> Encoded:
        """Complete inputs (B, T) -> the vectors."""
        if with_attentions:
            raise ValueError(f"{type(self).__name__} has no attentions to give")
        mask, types, pieces = shorten(self.config, mask, types, ids)
        pieces = pieces + types * self.config.vocab_size  # distinguishes the second text's words
        buckets = hashed(pieces, mask, self.config.ngrams, self.config.buckets)
        if self.training and self.config.ngram_dropout:
            left_out = torch.rand(buckets.shape, device=buckets.device) < self.config.ngram_dropout
            buckets = buckets.masked_fill(left_out, self.config.buckets)
        count = (buckets != self.config.buckets).sum(dim=1, keepdim=True)
        if kernels.is_exported():  # ONNX has no node for a bag; the row of padding is zero
            summed = nn.functional.embedding(buckets, self.table.weight).sum(dim=1)
        elif torch.is_grad_enabled():
            summed = self.table(buckets.long())  # which indices of a gradient must be
        else:  # reads the zero row of padding too: skipping it takes 13 times as long
            summed = nn.functional.embedding_bag(buckets, self.table.weight, mode="sum")
        return Encoded(pooler_output=summed / count.clamp(min=1).to(summed.dtype).sqrt())


class BagClassifier(Classifier):
    """ngrams: longest n-gram of word pieces. buckets: rows of the table they are hashed into.
    ngram_dropout: share of a text's n-grams left out in training."""

    encoder_class = BagEncoder
    sizes: ClassVar = {"embedding_size": 2, "ngrams": 2, "buckets": 2**20, "ngram_dropout": 0.0}
    gives = ()

    def build_head(self, config: Any) -> int:
        return int(config.embedding_size)

    def vector(self, encoded: Any, mask: Tensor, types: Tensor) -> Tensor:
        result: Tensor = encoded.pooler_output
        return result
