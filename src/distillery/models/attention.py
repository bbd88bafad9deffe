"""The attention student: a small convolution, then self-attention without feed-forward blocks."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from distillery.kernels.fused_attention import attend
from distillery.models.base import Encoder
from distillery.models.heads import Classifier


class SelfAttention(nn.Module):
    """Multi-head self-attention with a residual, normalized first (Vaswani et al. 2017)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.width = config.attention_head_size or config.hidden_size // self.heads
        self.norm = nn.LayerNorm(config.hidden_size)
        self.query_key_value = nn.Linear(config.hidden_size, 3 * self.heads * self.width)
        self.output = nn.Linear(self.heads * self.width, config.hidden_size)

    def forward(
        self, states: Tensor, mask: Tensor, with_attentions: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, H), mask (B, T) true on text -> (B, T, H), weights (B, heads, T, T)."""
        rows, length, _ = states.shape
        projected = self.query_key_value(self.norm(states))
        split = projected.view(rows, length, 3, self.heads, self.width)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (B, heads, T, width of a head)
        weights = None
        if with_attentions:
            scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
            hidden = ~mask[:, None, None, :]
            weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(dim=-1)
            mixed = weights @ value
        else:
            mixed = attend(query, key, value, mask)
        return states + self.output(mixed.transpose(1, 2).flatten(2)), weights


class AttentionEncoder(Encoder):
    """Learned positions, a convolution over neighbouring pieces, then layers of self-attention."""

    def layer(self, config: Any) -> nn.Module:
        return SelfAttention(config)

    def build(self, config: Any) -> None:
        self.position_embeddings = nn.Embedding(config.max_length, config.embedding_size)
        self.convolution = nn.Conv1d(
            config.embedding_size,
            config.hidden_size,
            config.kernel_size,
            padding=config.kernel_size // 2,
        )
        self.layers = nn.ModuleList(self.layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def encode(
        self, embedded: Tensor, mask: Tensor, with_attentions: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        text = mask.bool()[:, :, None]  # (B, T, 1)
        embedded = embedded + self.position_embeddings.weight[: embedded.shape[1]]
        embedded = embedded.masked_fill(~text, 0)  # the convolution must not see padding
        # contiguous: gelu and layer norm are slow over a transposed view, above all on a CPU
        states = self.convolution(embedded.transpose(1, 2)).transpose(1, 2).contiguous()
        states = nn.functional.gelu(states)  # (B, T, H)
        every, attentions = [], []
        for layer in self.layers:
            states, weights = layer(states, mask.bool(), with_attentions)
            every.append(states)
            attentions.append(weights)
        return [*every[:-1], self.norm(every[-1])], attentions


class AttentionClassifier(Classifier):
    """kernel_size: pieces that the convolution in front sees at once (odd). attention_head_size:
    width of a head, hidden_size / num_attention_heads where None; pruned models have fewer heads
    of the old width."""

    encoder_class = AttentionEncoder
    sizes: ClassVar = {"num_attention_heads": 4, "attention_head_size": None, "kernel_size": 5}
    capturable = True
