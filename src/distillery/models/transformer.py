"""The transformer student: as the attention student, with feed-forward blocks."""

from typing import Any, ClassVar

from torch import Tensor, nn

from distillery.models.attention import AttentionClassifier, AttentionEncoder, SelfAttention
from distillery.models.heads import Classifier


class TransformerBlock(nn.Module):
    """Self-attention and a feed-forward block, each with a residual, normalized first."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(config.hidden_size),
            nn.Linear(config.hidden_size, config.intermediate_size),
            nn.GELU(),
            nn.Linear(config.intermediate_size, config.hidden_size),
        )

    def forward(
        self, states: Tensor, mask: Tensor, with_attentions: bool
    ) -> tuple[Tensor, Tensor | None]:
        """As `SelfAttention.forward`."""
        states, weights = self.attention(states, mask, with_attentions)
        return states + self.feed_forward(states), weights


class TransformerEncoder(AttentionEncoder):
    def layer(self, config: Any) -> nn.Module:
        return TransformerBlock(config)


class TransformerClassifier(Classifier):
    """intermediate_size: width inside a feed-forward block."""

    encoder_class = TransformerEncoder
    sizes: ClassVar = {**AttentionClassifier.sizes, "intermediate_size": 512}
    capturable = True
