"""Losses on what the layers of a student and its teacher give for the same word pieces.

Each is a module: (student's layers, teacher's layers, mask (B, T), 1 on text) -> scalar, the mean
over the texts of the batch; within a text over its tokens, never over padding. What a module
learns, such as a projection, is trained with the student and thrown away at the end. The option
`layers` says which layers are compared (`layers.mapping`); over several pairs the loss is their
sum. TinyBERT is arXiv:1909.10351, its losses stand in sec. 3.1.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from distillery.distillation.layers import Layers, Source, mapping
from distillery.errors import UserError

HIDDEN = -1e4  # score of padding, whose weight is then exactly zero


def mean_over_text(values: Tensor, mask: Tensor) -> Tensor:
    """(B, T) -> the mean over texts of the mean over a text's tokens."""
    share = mask / mask.sum(dim=1, keepdim=True)
    return (values * share).sum(dim=1).mean()


class LayerLoss(nn.Module, ABC):
    """student, teacher: what is compared. layers: a rule of `mapping`, or empty for the last layer
    of both. Raises UserError where they can't be compared."""

    def __init__(self, student: Source, teacher: Source, layers: str = "uniform") -> None:
        super().__init__()
        rule = layers or f"{student.layers}-{teacher.layers}"
        self.pairs = mapping(rule, student.layers, teacher.layers)

    def forward(self, student: Layers, teacher: Layers, mask: Tensor) -> Tensor:
        parts = [
            self.compare(self.read(student, mine), self.read(teacher, theirs), mask)
            for mine, theirs in self.pairs
        ]
        return torch.stack(parts).sum()

    def read(self, layers: Layers, number: int) -> Any:
        """What is compared of a layer, counted from 1: its states (B, T, H)."""
        return layers.hidden_states[number].float()

    @abstractmethod
    def compare(self, mine: Any, theirs: Any, mask: Tensor) -> Tensor:
        """The loss of what `read` gives of a student's layer and of the teacher's."""


class Hidden(LayerLoss):
    """MSE(H_S W_h, H_T) after each layer, with one W_h for all (TinyBERT's L_hidn), and none where
    the widths agree."""

    width = "width"  # the field of `Source` that says how wide what is compared is

    def __init__(self, student: Source, teacher: Source, layers: str = "uniform") -> None:
        super().__init__(student, teacher, layers)
        mine, theirs = getattr(student, self.width), getattr(teacher, self.width)
        self.projection = nn.Identity() if mine == theirs else nn.Linear(mine, theirs, bias=False)

    def compare(self, mine: Tensor, theirs: Tensor, mask: Tensor) -> Tensor:
        return mean_over_text((self.projection(mine) - theirs).square().mean(dim=-1), mask)


class Embeddings(Hidden):
    """MSE(E_S W_e, E_T) of what comes before the first layer (TinyBERT's L_embd)."""

    width = "embedding"

    def __init__(self, student: Source, teacher: Source) -> None:
        super().__init__(student, teacher)
        self.pairs = [(0, 0)]


class Cosine(Hidden):
    """1 - cos(h_S W, h_T) of the last layer's states (DistilBERT, arXiv:1910.01108, sec. 3), with
    a learned W where the widths differ."""

    def __init__(self, student: Source, teacher: Source, layers: str = "") -> None:
        super().__init__(student, teacher, layers)

    def compare(self, mine: Tensor, theirs: Tensor, mask: Tensor) -> Tensor:
        return mean_over_text(1 - cosine_similarity(self.projection(mine), theirs, dim=-1), mask)


class Attention(LayerLoss):
    """MSE(A_S, A_T) over heads, of the scores A = Q K^T / sqrt(W) before the softmax
    (TinyBERT's L_attn).

    A_S - A_T = X Y^T with X = [Q_S / sqrt(W_S), -Q_T / sqrt(W_T)] and Y = [K_S, K_T], and the sum
    of its squares is that of (X^T X) * (Y^T Y): no (T, T) matrix is ever made. Padding is zero in
    X and Y.
    """

    def __init__(self, student: Source, teacher: Source, layers: str = "uniform") -> None:
        super().__init__(student, teacher, layers)
        if student.heads != teacher.heads:
            raise UserError(
                f"loss attention compares heads one by one: {student.name} has {student.heads},"
                f" {teacher.name} {teacher.heads}; value_relations:1:heads=N compares other numbers"
            )

    def read(self, layers: Layers, number: int) -> tuple[Tensor, Tensor]:
        """Scaled queries and keys, (B, T, heads, W) each."""
        queries = layers.queries[number - 1].float()
        return queries * queries.shape[-1] ** -0.5, layers.keys[number - 1].float()

    def compare(self, mine: Any, theirs: Any, mask: Tensor) -> Tensor:
        x = _gram(torch.cat([mine[0], -theirs[0]], dim=-1), mask)
        y = _gram(torch.cat([mine[1], theirs[1]], dim=-1), mask)
        return (x * y).sum(dim=(-2, -1)).mean()


def _gram(vectors: Tensor, mask: Tensor) -> Tensor:
    """(B, T, heads, W) -> (B, heads, W, W): X^T X over a text's tokens, divided by their number."""
    text = (vectors * mask[:, :, None, None]).transpose(1, 2)  # (B, heads, T, W)
    return text.transpose(-1, -2) @ text / mask.sum(dim=1)[:, None, None, None]


class ValueRelations(LayerLoss):
    """KL(R_T || R_S) over heads and tokens, with R = softmax(V V^T / sqrt(W)) of the last layer's
    values (MiniLM, arXiv:2002.10957, sec. 3.2).

    heads: into how many parts the values of all heads together are cut, in student and teacher
    alike (the relation heads of arXiv:2012.15828, sec. 3.1); 0: as many as both have.
    """

    def __init__(
        self, student: Source, teacher: Source, heads: float = 0.0, layers: str = ""
    ) -> None:
        super().__init__(student, teacher, layers)
        if not heads and student.heads != teacher.heads:
            raise UserError(
                f"loss value_relations needs its option heads: {student.name} has {student.heads}"
                f" heads, {teacher.name} {teacher.heads}"
            )
        self.heads = int(heads) or student.heads
        for source in (student, teacher):
            if heads != int(heads) or source.width % self.heads:
                raise UserError(
                    f"heads {heads:g} of loss value_relations is impossible: {source.name} has"
                    f" values of width {source.width}"
                )

    def read(self, layers: Layers, number: int) -> Tensor:
        """The values of all heads side by side, (B, T, H)."""
        return layers.values[number - 1].float().flatten(2)

    def compare(self, mine: Tensor, theirs: Tensor, mask: Tensor) -> Tensor:
        student, teacher = self._relations(mine, mask), self._relations(theirs, mask)
        divergence = (teacher.exp() * (teacher - student)).sum(dim=-1)  # (B, heads, T)
        return mean_over_text(divergence.mean(dim=1), mask)

    def _relations(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, T, H) -> log R, (B, relation heads, T, T)."""
        parts = values.unflatten(2, (self.heads, -1)).transpose(1, 2)
        scores = parts @ parts.transpose(-1, -2) * parts.shape[-1] ** -0.5
        hidden: Tensor = scores.masked_fill(mask[:, None, None, :] == 0, HIDDEN)
        return hidden.log_softmax(dim=-1)
