"""Students of BERT's shape: transformers' own BERT in the sizes of the published small ones.

A DistilBERT is a BERT without token types and pooler, its weights under other names.

What is saved is a plain BERT, with its flaws in transformers 5.23: with gradient
accumulation `Trainer` does not average its loss (huggingface/transformers#47688), unless
`model.accepts_loss_kwargs = False` is set; and long texts are cut by the tokenizer alone
(`tokenization.save_for`).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import SAFE_WEIGHTS_NAME
from transformers.utils.generic import can_return_tuple

from distillery.errors import UserError, reason
from distillery.models.auto import read_config
from distillery.models.heads import classification_loss
from distillery.students import BertShape

NEW = ("pooler.", "embeddings.token_type_embeddings.")  # may be missing in a checkpoint
_RENAMED = {  # in a checkpoint -> in a BERT
    r"^(distil)?bert\.": "",
    r"^transformer\.": "encoder.",
    r"\.q_lin\.": ".self.query.",
    r"\.k_lin\.": ".self.key.",
    r"\.v_lin\.": ".self.value.",
    r"\.attention\.out_lin\.": ".attention.output.dense.",
    r"\.sa_layer_norm\.": ".attention.output.LayerNorm.",
    r"\.ffn\.lin1\.": ".intermediate.dense.",
    r"\.ffn\.lin2\.": ".output.dense.",
    r"\.output_layer_norm\.": ".output.LayerNorm.",
    r"\.gamma$": ".weight",
    r"\.beta$": ".bias",
}


def create(
    shape: BertShape,
    *,
    vocab_size: int,
    positions: int,
    pad_token_id: int,
    dropout: float,
    head: Mapping[str, Any],
    token_types: int = 2,
    activation: str = "gelu",
    norm_eps: float = 1e-12,
) -> BertForSequenceClassification:
    """A BERT classifier with random weights.

    positions: the longest text in word pieces. dropout: on the embeddings and before the
    classifier; the layers have none, which costs time and turns fused attention off. head: fields
    of the configuration (`heads.Head.config`). activation, norm_eps: those of the model whose
    weights it takes, or they would compute something else.
    """
    config = BertConfig(
        vocab_size=vocab_size,
        max_position_embeddings=positions,
        type_vocab_size=token_types,
        pad_token_id=pad_token_id,
        num_hidden_layers=shape.layers,
        hidden_size=shape.width,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        hidden_act=activation,
        layer_norm_eps=norm_eps,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        classifier_dropout=dropout,
        **head,
    )
    model = BertForSequenceClassification(config)
    model.bert.embeddings.dropout.p = dropout
    return model


def load(
    folder: Path, shape: BertShape, *, dropout: float, head: Mapping[str, Any]
) -> BertForSequenceClassification:
    """A BERT classifier that starts from the checkpoint in a folder, BERT's or DistilBERT's.

    Raises UserError where the checkpoint is damaged or of other sizes.
    """
    found = shape_of(folder)
    if found != shape:
        raise UserError(f"the checkpoint in {folder} has {found}, where the student has {shape}")
    weights = _weights(folder)
    rows = {
        name: len(weights[f"embeddings.{name}_embeddings.weight"])
        for name in ("word", "position", "token_type")
        if f"embeddings.{name}_embeddings.weight" in weights
    }
    if not {"word", "position"} <= rows.keys():
        raise UserError(f"{folder} holds no whole model (it has no embeddings)")
    config = read_config(folder)
    model = create(
        shape,
        vocab_size=rows["word"],
        positions=rows["position"],
        token_types=rows.get("token_type", 2),
        pad_token_id=config.pad_token_id or 0,
        dropout=dropout,
        head=head,
        activation=config.hidden_act if config.model_type == "bert" else config.activation,
        norm_eps=getattr(config, "layer_norm_eps", 1e-12),
    )
    if "token_type" not in rows:
        torch.nn.init.zeros_(model.bert.embeddings.token_type_embeddings.weight)
    try:
        missing, _ = model.bert.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise UserError(f"{folder} holds no whole model ({reason(error)})") from None
    if lost := [name for name in missing if not name.startswith(NEW)]:
        raise UserError(f"{folder} holds no whole model (no weights for {', '.join(lost)})")
    return model


def shape_of(folder: Path) -> BertShape:
    """The sizes of the BERT or DistilBERT in a folder. UserError where there is none."""
    config = read_config(folder)
    if config.model_type not in ("bert", "distilbert"):
        raise UserError(f"{folder} is of type {config.model_type}, not bert or distilbert")
    inner = config.intermediate_size if config.model_type == "bert" else config.hidden_dim
    return BertShape(
        config.num_hidden_layers, config.hidden_size, config.num_attention_heads, inner
    )


def _weights(folder: Path) -> dict[str, Tensor]:
    """The weights in a folder, by the names that they have within a `BertModel`."""
    try:
        weights = load_file(folder / SAFE_WEIGHTS_NAME)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{folder} holds no whole model ({reason(error)})") from None
    found = {}
    for name, tensor in weights.items():
        for old, new in _RENAMED.items():
            name = re.sub(old, new, name)
        found[name] = tensor.float()
    return found


class PrunedBertConfig(BertConfig):
    """Of a classifier with heads taken out: fewer heads, of the width they had, which BERT of
    transformers derives from `hidden_size` and `num_attention_heads`.

    num_attention_heads: before pruning; kept_heads: left in each layer.
    """

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
