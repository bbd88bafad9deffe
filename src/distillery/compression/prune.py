"""Structured pruning: the least important units and word pieces go, and the matrices shrink.

Units are heads, feed-forward neurons and hidden units of an RNN. One is the places that it has in
the weights: in those that compute it, and in those that read it.

A unit's importance is the expected sensitivity of the loss to a gate on it (Michel et al. 2019,
arXiv:1905.10650, eq. 2): I = E_x |dL(x) / dg| at g = 1, where g scales the unit wherever it is
read. That derivative is the sum of w dL/dw over the weights that read the unit: the first-order
Taylor expansion of the loss of losing it (Molchanov et al. 2017, arXiv:1611.06440, eq. 5).
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification

from distillery.errors import UserError
from distillery.models import tokenization
from distillery.models.attention import AttentionEncoder
from distillery.models.bert import PrunedBertConfig, PrunedBertForSequenceClassification
from distillery.models.heads import Pool
from distillery.models.rnn import RNNEncoder
from distillery.models.transformer import TransformerEncoder


@dataclass(frozen=True)
class Slice:
    """Unit u's places in a dimension of a weight: start + u * width + 0 ... width - 1, of each
    start."""

    weight: str
    dim: int
    starts: tuple[int, ...] = (0,)
    width: int = 1

    def places(self, units: Tensor) -> Tensor:
        """(U,) unit numbers -> (U, starts * width) places."""
        starts = torch.tensor(self.starts)[:, None] + torch.arange(self.width)  # (starts, width)
        return units[:, None] * self.width + starts.flatten()[None, :]


@dataclass(frozen=True)
class Group:
    """Units of one type in one layer; pruning keeps the same share of them in every layer.

    kind: names the number that stays, in `smaller`. written, read: weights that compute the units
    and those that read them.
    """

    kind: str
    count: int
    written: tuple[Slice, ...]
    read: tuple[Slice, ...]


def groups_of(model: Any) -> list[Group]:
    """The groups of a classifier. UserError for one that cannot be pruned."""
    if isinstance(model, BertForSequenceClassification):
        return [*_bert(model)]
    encoder = model.base_model
    if isinstance(encoder, RNNEncoder):
        return [*_recurrent(model)]
    if isinstance(encoder, AttentionEncoder):
        return [*_attention(encoder)]
    raise UserError(f"a model of the type {model.config.model_type} cannot be pruned")


def smaller(model: Any, kept: dict[str, int]) -> Any:
    """A smaller classifier with random weights. kept: type of units -> how many stay per layer."""
    config = model.config.to_dict()
    del config["model_type"]
    if isinstance(model, BertForSequenceClassification):
        sizes = {"kept_heads": kept["heads"], "intermediate_size": kept["neurons"]}
        return PrunedBertForSequenceClassification(PrunedBertConfig(**config | sizes))
    if isinstance(model.base_model, RNNEncoder):
        sizes = {"hidden_size": 2 * kept["hidden"]}
    else:
        width = model.config.attention_head_size
        width = width or model.config.hidden_size // model.config.num_attention_heads
        sizes = {"num_attention_heads": kept["heads"], "attention_head_size": width}
        if "neurons" in kept:
            sizes["intermediate_size"] = kept["neurons"]
    return type(model)(type(model.config)(**config | sizes))


def _both(prefix: str, starts: tuple[int, ...] = (0,), width: int = 1) -> tuple[Slice, Slice]:
    """The weight and the bias of a linear layer whose outputs are the units."""
    weight, bias = (Slice(f"{prefix}.{name}", 0, starts, width) for name in ("weight", "bias"))
    return weight, bias


def _bert(model: Any) -> Iterator[Group]:
    for number, layer in enumerate(model.bert.encoder.layer):
        at, attention = f"bert.encoder.layer.{number}", layer.attention.self
        width = attention.attention_head_size
        written = [
            part
            for name in ("query", "key", "value")
            for part in _both(f"{at}.attention.self.{name}", width=width)
        ]
        read = Slice(f"{at}.attention.output.dense.weight", 1, width=width)
        yield Group("heads", attention.num_attention_heads, (*written,), (read,))
        neurons = layer.intermediate.dense.out_features
        read = Slice(f"{at}.output.dense.weight", 1)
        yield Group("neurons", neurons, _both(f"{at}.intermediate.dense"), (read,))


def _attention(encoder: AttentionEncoder) -> Iterator[Group]:
    layers: Any = encoder.layers
    for number, layer in enumerate(layers):
        at, attention = f"encoder.layers.{number}", layer
        if isinstance(encoder, TransformerEncoder):
            neurons = layer.feed_forward[1].out_features
            read = Slice(f"{at}.feed_forward.3.weight", 1)
            yield Group("neurons", neurons, _both(f"{at}.feed_forward.1"), (read,))
            at, attention = f"{at}.attention", layer.attention
        total = attention.output.in_features
        width = total // attention.heads
        written = _both(f"{at}.query_key_value", starts=(0, total, 2 * total), width=width)
        read = Slice(f"{at}.output.weight", 1, width=width)
        yield Group("heads", attention.heads, written, (read,))


def _recurrent(model: Any) -> Iterator[Group]:
    layers = model.encoder.layers
    for number, layer in enumerate(layers):
        size = layer.hidden_size
        gates = 4 if isinstance(layer, nn.LSTM) else 3
        starts = tuple(gate * size for gate in range(gates))
        for offset, suffix in ((0, ""), (size, "_reverse")):
            at = f"encoder.layers.{number}"
            names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            written = tuple(Slice(f"{at}.{name}{suffix}", 0, starts) for name in names)
            read = [Slice(f"{at}.weight_hh_l0{suffix}", 1)]
            if number + 1 < len(layers):
                after = f"encoder.layers.{number + 1}.weight_ih_l0"
                read += [Slice(after + direction, 1, (offset,)) for direction in ("", "_reverse")]
            else:  # the pool gives two vectors, eight of a pair, each of both directions
                vectors = range(0, model.classifier.in_features, 2 * size)
                places = tuple(start + offset for start in vectors)
                read.append(Slice("classifier.weight", 1, places))
                if isinstance(model.pool, Pool):
                    read.append(Slice("pool.query.weight", 1, (offset,)))
            yield Group("hidden", size, written, (*read,))


def importance(
    model: Any, losses: Iterable[Callable[[Any], Tensor]], groups: list[Group]
) -> list[Tensor]:
    """Per group the importance (units,) of each unit.

    losses: of single rows, each a function of the model; their number must not be zero.
    """
    totals = [torch.zeros(group.count) for group in groups]
    weights = dict(model.named_parameters())
    model.eval()
    for loss_of in losses:
        model.zero_grad(set_to_none=True)
        with torch.backends.cudnn.flags(enabled=False):  # its RNNs have no gradients in eval mode
            loss_of(model).backward()
        for group, total in zip(groups, totals, strict=True):
            total += _gate_gradient(weights, group).abs()
    model.zero_grad(set_to_none=True)
    return totals


def _gate_gradient(weights: dict[str, Any], group: Group) -> Tensor:
    """dL/dg (units,) from the gradients that the weights hold."""
    found = torch.zeros(group.count)
    every = torch.arange(group.count)
    for part in group.read:
        weight = weights[part.weight]
        others = [dim for dim in range(weight.ndim) if dim != part.dim]
        by_place = (weight.detach() * weight.grad).sum(dim=others).cpu()
        found += by_place[part.places(every)].sum(dim=1)
    return found


def pruned(model: Any, scores: list[Tensor], groups: list[Group], sparsity: float) -> Any:
    """A new, smaller classifier without the `sparsity` share of units of the lowest scores.

    The same number stays in every layer, one at least. UserError where none would go.
    """
    kept = {group.kind: max(1, round(group.count * (1 - sparsity))) for group in groups}
    if all(kept[group.kind] == group.count for group in groups):
        raise UserError(f"sparsity {sparsity:g} takes nothing out of this model")
    state = model.state_dict()
    stays: dict[tuple[str, int], Tensor] = {}
    for group, score in zip(groups, scores, strict=True):
        lost = score.argsort(stable=True)[: group.count - kept[group.kind]]
        for part in (*group.written, *group.read):
            size = state[part.weight].shape[part.dim]
            mask = stays.setdefault((part.weight, part.dim), torch.ones(size, dtype=torch.bool))
            mask[part.places(lost)] = False
    for (name, dim), mask in stays.items():
        state[name] = state[name].index_select(dim, mask.nonzero()[:, 0].to(state[name].device))
    found = smaller(model, kept)
    found.load_state_dict(state)
    return found


def commonest(tokenizer: Any, counts: np.ndarray, size: int) -> list[int]:
    """The ids to keep, rising: special tokens, characters that occur, then the commonest pieces.

    With its characters every word of known characters can still be spelt. counts: (V,), of each
    piece in the texts. UserError where `size` is less than the first two or more than there are.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(counts))))
    characters = {char for number in counts.nonzero()[0] for char in pieces[number]}
    kept = set(tokenizer.all_special_ids)
    for number, piece in enumerate(pieces):
        letter = piece.removeprefix("##") if len(piece) == 3 else piece
        if len(letter) == 1 and letter in characters:
            kept.add(number)
    if not len(kept) <= size <= len(counts):
        raise UserError(f"pieces {size} is impossible: {len(kept)} to {len(counts)}")
    by_count = np.argsort(-counts, kind="stable").tolist()
    rest = [number for number in by_count if number not in kept]
    return sorted([*kept, *rest[: size - len(kept)]])


def cut_tokenizer(tokenizer: Any, kept: list[int]) -> Any:
    """The word-piece tokenizer that knows the pieces `kept` alone, numbered in this order.

    UserError for tokenizers of other kinds.
    """
    pieces = tokenizer.convert_ids_to_tokens(kept)
    numbers = {piece: number for number, piece in enumerate(pieces)}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tokenization.save(tokenizer, folder)
        path = folder / "tokenizer.json"
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["model"].get("type") != "WordPiece":
            raise UserError("only a word-piece vocabulary can be made smaller")
        state["model"]["vocab"] = numbers
        for token in state["added_tokens"]:
            token["id"] = numbers[token["content"]]
        _renumber(state["post_processor"], numbers)
        path.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        found = tokenization.load(folder)
    if found.convert_tokens_to_ids(pieces) != [*range(len(pieces))] or len(found) != len(pieces):
        raise UserError("this tokenizer's vocabulary cannot be made smaller")
    return found


def _renumber(processor: dict[str, Any], numbers: dict[str, int]) -> None:
    """The special tokens that a post-processor puts around a text."""
    for side in ("sep", "cls"):
        if side in processor:
            processor[side] = [processor[side][0], numbers[processor[side][0]]]
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [numbers[piece] for piece in token["tokens"]]


def cut_embeddings(model: Any, kept: list[int], pad: int) -> None:
    """Makes a model's word embeddings those of the pieces `kept`. pad: the new padding's number."""
    old = model.get_input_embeddings()
    new = torch.nn.Embedding(len(kept), old.embedding_dim, padding_idx=pad)
    with torch.no_grad():
        new.weight.copy_(old.weight[torch.tensor(kept)])
    model.set_input_embeddings(new)
    model.config.vocab_size, model.config.pad_token_id = len(kept), pad
