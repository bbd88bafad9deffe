"""The students as models of transformers: configuration, loading and saving, losses, resizing.

What they compute is in a file per architecture; each class here is such a network that is also a
`PreTrainedModel`.
"""

from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from distillery.models import attention, bag, rnn, transformer
from distillery.models.base import complete_inputs, initialize
from distillery.models.heads import classification_loss


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


class LSTMConfig(StudentConfig):
    model_type = "distillery_bilstm"


class GRUConfig(StudentConfig):
    model_type = "distillery_bigru"


class AttentionConfig(StudentConfig):
    """kernel_size: pieces that the convolution in front sees at once (odd). attention_head_size:
    width of a head, hidden_size / num_attention_heads where None; pruned models have fewer heads
    of the old width."""

    model_type = "distillery_attention"

    num_attention_heads: int = 4
    attention_head_size: int | None = None
    kernel_size: int = 5


class TransformerConfig(AttentionConfig):
    """intermediate_size: width inside a feed-forward block."""

    model_type = "distillery_transformer"

    intermediate_size: int = 512


class BagConfig(StudentConfig):
    """ngrams: longest n-gram of word pieces. buckets: rows of the table they are hashed into.
    ngram_dropout: share of a text's n-grams left out in training."""

    model_type = "distillery_bag"

    embedding_size: int = 2
    ngrams: int = 2
    buckets: int = 2**20
    ngram_dropout: float = 0.0


class _Student(PreTrainedModel):
    """What encoders and classifiers share. The network is a further base class."""

    config_class: ClassVar[type] = StudentConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    make: Any  # of the network

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.make(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        initialize(module)


class StudentModel(_Student):
    """An encoder: word pieces to states."""

    compute: Any  # of the network
    word_embeddings: nn.Embedding

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.word_embeddings = value  # type: ignore[assignment]

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
    """A classifier.

    gives: what losses on layers can compare, token by token. capturable: whether a training step
    can be a CUDA graph: nothing in it waits for the GPU, as packing and sparse gradients do.
    """

    gives: ClassVar[tuple[str, ...]] = ("hidden_states",)
    capturable: ClassVar[bool] = False
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


class LSTMModel(StudentModel, rnn.LSTMEncoder):
    config_class = LSTMConfig


class LSTMForSequenceClassification(StudentForSequenceClassification, rnn.LSTMClassifier):
    config_class = LSTMConfig
    encoder_class = LSTMModel


class GRUModel(StudentModel, rnn.GRUEncoder):
    config_class = GRUConfig


class GRUForSequenceClassification(StudentForSequenceClassification, rnn.GRUClassifier):
    config_class = GRUConfig
    encoder_class = GRUModel


class AttentionModel(StudentModel, attention.AttentionEncoder):
    config_class = AttentionConfig


class AttentionForSequenceClassification(
    StudentForSequenceClassification, attention.AttentionClassifier
):
    config_class = AttentionConfig
    encoder_class = AttentionModel
    capturable = True


class TransformerModel(StudentModel, transformer.TransformerEncoder):
    config_class = TransformerConfig


class TransformerForSequenceClassification(
    StudentForSequenceClassification, transformer.TransformerClassifier
):
    config_class = TransformerConfig
    encoder_class = TransformerModel
    capturable = True


class BagModel(StudentModel, bag.BagEncoder):
    config_class = BagConfig

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
        """Changes nothing: added word pieces are hashed into the same table, and
        `config.vocab_size` stays because the hash of a pair's second text depends on it."""
        return self.table


class BagForSequenceClassification(StudentForSequenceClassification, bag.BagClassifier):
    config_class = BagConfig
    encoder_class = BagModel
    gives = ()

    def resize_token_embeddings(self, *sizes: Any, **options: Any) -> nn.Module:
        """As `BagModel.resize_token_embeddings`."""
        table: nn.Module = self.encoder.resize_token_embeddings(*sizes, **options)
        return table
