"""The students as models of transformers: configuration, loading and saving, losses, resizing.

What they compute is in a file per architecture (`networks.NETWORKS`); `classes` makes a
`PreTrainedModel` of it.
"""

from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from distillery.models import networks
from distillery.models.base import complete_inputs
from distillery.models.heads import Classifier, classification_loss


class StudentConfig(PreTrainedConfig):
    """Sizes shared by all students.

    hidden_size: width of the last hidden state. max_length: word pieces kept of a text, special
    tokens included. head: of a text that is cut, the fraction of `max_length` kept from its
    beginning (the rest is kept from its end). pairs: the model classifies pairs of texts.
    """

    vocab_size: int = 30522
    embedding_size: int = 128
    hidden_size: int = 256
    num_hidden_layers: int = 1
    dropout: float = 0.1
    pooling: str = "attention_max"
    max_length: int = 256
    head: float = 0.25
    pad_token_id: int = 0
    pairs: bool = False


class _Student(PreTrainedModel):
    """What encoders and classifiers share. The network is a further base class."""

    config_class: ClassVar[type] = StudentConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    make: Any  # of the network, as `initialize`
    initialize: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.make(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        self.initialize(module)

    def resize_token_embeddings(self, *sizes: Any, **options: Any) -> nn.Module:
        """As in transformers; changes nothing in an encoder that is not `resizable`."""
        if self.base_model.resizable:
            embeddings: nn.Module = super().resize_token_embeddings(*sizes, **options)
        else:
            embeddings = self.get_input_embeddings()
        return embeddings


class StudentModel(_Student):
    """An encoder: word pieces to states."""

    compute: Any  # of the network, as `embeddings_name`
    embeddings_name: ClassVar[str]

    def get_input_embeddings(self) -> nn.Module:
        result: nn.Module = getattr(self, self.embeddings_name)
        return result

    def set_input_embeddings(self, value: nn.Module) -> None:
        setattr(self, self.embeddings_name, value)

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
        """(B, T) -> last_hidden_state (B, T', H), T' = T or `max_length` where that is less; a bag
        has a pooler_output (B, E) instead. ValueError for states or attentions it doesn't have."""
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        inputs = complete_inputs(self, input_ids, attention_mask, token_type_ids, kwargs)
        found = self.compute(*inputs, bool(output_attentions))
        if output_hidden_states and not found.hidden_states:
            raise ValueError(f"{type(self).__name__} has no hidden states to give")
        return BaseModelOutputWithPooling(
            last_hidden_state=found.last_hidden_state,
            pooler_output=found.pooler_output,
            hidden_states=found.hidden_states if output_hidden_states else None,
            attentions=found.attentions if output_attentions else None,
        )


class StudentForSequenceClassification(_Student):
    """A classifier."""

    accepts_loss_kwargs: ClassVar[bool] = True  # `Trainer` passes num_items_in_batch
    encoder_class: ClassVar[type[nn.Module]]
    head: Any  # of the network

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.loss_function = classification_loss

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """(B, T) -> logits (B, num_labels), and the loss where `labels` are given
        (`heads.classification_loss`)."""
        ids, mask, types = complete_inputs(self, input_ids, attention_mask, token_type_ids, kwargs)
        encoded = self.encoder(
            ids,
            mask,
            types,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        logits = self.head(encoded, mask, types)
        loss = None
        if labels is not None:
            loss = self.loss_function(
                labels=labels,
                pooled_logits=logits,
                config=self.config,
                num_items_in_batch=num_items_in_batch,
            )
        return SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )


def classes(architecture: str, network: type[Classifier]) -> type:
    """The class of transformers of a network: its `config_class` is a `StudentConfig` with the
    network's `sizes`, its `encoder_class` a `StudentModel`. `LSTMClassifier` becomes
    `LSTMForSequenceClassification`, with `LSTMConfig` and `LSTMModel`."""
    name = network.__name__.removesuffix("Classifier")
    kinds = {size: Any if value is None else type(value) for size, value in network.sizes.items()}
    fields = {"model_type": networks.PREFIX + architecture, "__annotations__": kinds}
    config = _define(f"{name}Config", StudentConfig, **fields, **network.sizes)
    bases = StudentModel, network.encoder_class
    encoder = _define(f"{name}Model", *bases, config_class=config)
    bases = StudentForSequenceClassification, network
    parts = {"config_class": config, "encoder_class": encoder}
    return _define(f"{name}ForSequenceClassification", *bases, **parts)


def _define(name: str, *bases: type, **attributes: Any) -> type:
    """A class of this module, where pickle finds it."""
    defined = type(name, bases, {"__module__": __name__, **attributes})
    globals()[name] = defined
    return defined
