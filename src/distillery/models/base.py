"""What the encoders of all students of our own share: inputs, embeddings, initialization.

A student reads `input_ids`, `attention_mask` (1 on text) and `token_type_ids` (1 on the second
text of a pair), all (B, T). It cuts texts longer than its `max_length` itself, so a `pipeline`
answers as `predict` does. Its tokenizer is saved without a maximum length
(`tokenization.save_for`), so `truncation=True` changes nothing.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

WORD_STD = 0.5  # standard deviation of initial word embeddings


def shorten(config: Any, mask: Tensor, types: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Cuts rows of (B, T) tensors, `mask` and `types` first, to at most `max_length`.

    Counted per row, without padding, as `text.encode` does: a text keeps its beginning and end, of
    a pair the longer one is cut first. Special tokens are kept; padding must be on the right.
    """
    room = config.max_length
    if mask.shape[1] <= room:
        return (mask, types, *tensors)
    second = (mask * types).sum(dim=1, keepdim=True)  # (B, 1), its closing token included
    first = mask.sum(dim=1, keepdim=True) - second  # with the special tokens around it
    one, two = first - 2, (second - 1).clamp(min=0)  # their own pieces
    space = room - 2 - (second > 0).long()
    short = torch.minimum(torch.minimum(one, two), space // 2)
    long, fits = space - short, one + two <= space
    keep_one = torch.where(fits, one, torch.where(one <= two, short, long))
    keep_two = torch.where(fits, two, torch.where(one <= two, long, short))
    head_one, head_two = ((keep.double() * config.head).round() for keep in (keep_one, keep_two))
    places = torch.arange(room, device=mask.device)[None, :]  # (1, room), of the cut row
    within = places - keep_one - 2  # in the second text
    from_one = places + torch.where(places < 1 + head_one, 0, one - keep_one)
    from_two = first + within + torch.where(within < head_two, 0, two - keep_two)
    chosen = torch.where(within < 0, from_one, from_two)  # (B, room)
    return tuple(tensor.gather(1, chosen) for tensor in (mask, types, *tensors))


def complete_inputs(
    model: Any, input_ids: Tensor | None, mask: Tensor | None, types: Tensor | None, others: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """`input_ids`, `attention_mask` and `token_type_ids`, (B, T) integers, with defaults for those
    left out.

    others: further keyword arguments of `forward`. ValueError for one that students don't support,
    such as `inputs_embeds` or `position_ids`, and for `input_ids` of another shape.
    """
    name = type(model).__name__
    unknown = [key for key, value in others.items() if value is not None and value is not False]
    if unknown:
        raise ValueError(f"{name} has no input {', '.join(unknown)}: it reads input_ids")
    if input_ids is None:
        raise ValueError(f"{name} needs input_ids")
    if input_ids.ndim != 2 or input_ids.shape[1] == 0:
        raise ValueError(
            f"{name} needs input_ids of shape (batch, length), with length 1 or more,"
            f" not {tuple(input_ids.shape)}"
        )
    if mask is None:
        mask = input_ids != model.config.pad_token_id
    if types is None:
        types = torch.zeros_like(input_ids)
    # a conversion that does nothing would still be a node of the exported ONNX model
    return input_ids, mask if mask.dtype == torch.long else mask.long(), types


@dataclass
class Encoded:
    """An encoder's output. T' is the smaller of T and `max_length`.

    last_hidden_state: (B, T', H). pooler_output: (B, E), of an encoder without states.
    hidden_states: the embedded pieces and the states after each layer. attentions: of each layer.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] = ()
    attentions: tuple[Tensor, ...] = ()


class Network(nn.Module):
    """A module made from a configuration, with the attributes of `pretrained.StudentConfig`.

    embeddings_name: the attribute of an encoder that embeds its inputs. resizable: whether it has a
    row per word piece.

    config: None where a class of transformers is mixed in (`pretrained`), which calls `make`.
    """

    embeddings_name: ClassVar[str] = "word_embeddings"
    resizable: ClassVar[bool] = True
    config: Any

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        if config is not None:
            self.config = config
            self.make(config)

    def make(self, config: Any) -> None:
        """Creates the layers."""
        raise NotImplementedError

    def initialize(self, module: nn.Module) -> None:
        """Gives one of its modules random weights."""
        initialize(module)


class Encoder(Network):
    """Word pieces to states. A subclass defines `build` and `encode`."""

    def make(self, config: Any) -> None:
        self.word_embeddings = nn.Embedding(
            config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id
        )
        self.token_type_embeddings = nn.Embedding(2, config.embedding_size)
        self.dropout = nn.Dropout(config.dropout)
        self.build(config)

    def build(self, config: Any) -> None:
        """Creates the layers behind the embeddings."""
        raise NotImplementedError

    def encode(
        self, embedded: Tensor, mask: Tensor, with_attentions: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        """(B, T, E) and the mask (B, T) -> states after each layer (B, T, H), attentions."""
        raise NotImplementedError

    def compute(
        self, ids: Tensor, mask: Tensor, types: Tensor, with_attentions: bool = False
    ) -> Encoded:
        """Complete inputs (B, T) -> the states."""
        mask, types, ids = shorten(self.config, mask, types, ids)
        embedded = self.word_embeddings(ids) + self.token_type_embeddings(types)
        embedded = self.dropout(embedded)  # (B, T, E)
        states, attentions = self.encode(embedded, mask, with_attentions)
        return Encoded(states[-1], hidden_states=(embedded, *states), attentions=tuple(attentions))


def initialize(module: nn.Module) -> None:
    """PyTorch's own initialization, but word embeddings far larger than those added to them."""
    if isinstance(module, nn.Embedding):
        words = module.padding_idx is not None
        nn.init.normal_(module.weight, std=WORD_STD if words else 0.1 * WORD_STD)
        if words and not getattr(module.weight, "_is_hf_initialized", False):
            nn.init.zeros_(module.weight[module.padding_idx])
    elif callable(reset := getattr(module, "reset_parameters", None)):
        reset()
