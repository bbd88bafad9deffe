"""The transformer student: as the attention student, with feed-forward blocks."""

from typing import Any

from torch import Tensor, nn

from distillery.models.attention import AttentionConfig, AttentionModel, SelfAttention
from distillery.models.base import StudentForSequenceClassification


class TransformerConfig(AttentionConfig):
    """intermediate_size: width inside a feed-forward block."""

    model_type = "distillery_transformer"

    intermediate_size: int = 512


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


class TransformerModel(AttentionModel):
    config_class = TransformerConfig

    def layer(self, config: Any) -> nn.Module:
        return TransformerBlock(config)


class TransformerForSequenceClassification(StudentForSequenceClassification):
    config_class = TransformerConfig
    encoder_class = TransformerModel
    capturable = True
