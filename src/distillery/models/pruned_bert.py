"""A BERT classifier with heads taken out: fewer heads, of the width they had.

BERT of transformers derives the width of a head from `hidden_size` and `num_attention_heads`, so
it has no configuration for this.
"""

from typing import Any

from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from distillery.models.heads import classification_loss


class PrunedBertConfig(BertConfig):
    """num_attention_heads: before pruning; kept_heads: left in each layer."""

    model_type = "distillery_pruned_bert"

    kept_heads: int = 12


class PrunedBertForSequenceClassification(BertForSequenceClassification):
    """Weights keep BERT's names; `intermediate_size` is what is left in each layer."""

    config_class = PrunedBertConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for layer in self.bert.encoder.layer:
            attention, output = layer.attention.self, layer.attention.output
            width = config.kept_heads * attention.attention_head_size
            attention.num_attention_heads, attention.all_head_size = config.kept_heads, width
            for name in ("query", "key", "value"):
                setattr(attention, name, nn.Linear(config.hidden_size, width))
            output.dense = nn.Linear(width, config.hidden_size)

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """As BERT's, but for a loss that is right under gradient accumulation."""
        output: SequenceClassifierOutput = super().forward(
            input_ids, attention_mask, token_type_ids, return_dict=True, **kwargs
        )
        if labels is not None:
            output.loss = classification_loss(
                labels, output.logits, self.config, num_items_in_batch
            )
        return output
