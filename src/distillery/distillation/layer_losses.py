"""Losses on what the layers of a student and its teacher give for the same word pieces.

Each is a module: (student's layers, teacher's layers, mask (B, T), 1 on text) -> scalar, the mean
over the texts of the batch; within a text over its tokens, never over padding. What a module
learns, such as a projection, is trained with the student and thrown away at the end. The option
`layers` says which layers are compared (`layers.mapping`); over several pairs the loss is their
sum. TinyBERT is arXiv:1909.10351, its losses stand in sec. 3.1.
"""

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


def _projection(student: int, teacher: int) -> nn.Module:
    """A learned matrix from the student's width to the teacher's; none where they agree."""
    return nn.Identity() if student == teacher else nn.Linear(student, teacher, bias=False)


def _distance(projection: nn.Module, states: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """(B, T, H_S), (B, T, H_T) -> the mean squared distance."""
    distance = (projection(states.float()) - target.float()).square().mean(dim=-1)
    return mean_over_text(distance, mask)


class LayerLoss(nn.Module):
    """student, teacher: what is compared. layers: a rule of `mapping`, or empty for the last layer
    of both. Raises UserError where they can't be compared."""

    def __init__(self, student: Source, teacher: Source, layers: str = "uniform") -> None:
        super().__init__()
        rule = layers or f"{student.layers}-{teacher.layers}"
        self.pairs = mapping(rule, student.layers, teacher.layers)

    def forward(self, student: Layers, teacher: Layers, mask: Tensor) -> Tensor:
        parts = [self.compare(student, teacher, mask, mine, theirs) for mine, theirs in self.pairs]
        return torch.stack(parts).sum()

    def compare(
        self, student: Layers, teacher: Layers, mask: Tensor, mine: int, theirs: int
    ) -> Tensor:
        """The loss of the student's layer `mine` and the teacher's `theirs`."""
        raise NotImplementedError


class Hidden(LayerLoss):
    """MSE(H_S W_h, H_T) after each layer, with one W_h for all (TinyBERT's L_hidn)."""

    def __init__(self, student: Source, teacher: Source, layers: str = "uniform") -> None:
        super().__init__(student, teacher, layers)
        self.projection = _projection(student.width, teacher.width)

    def compare(
        self, student: Layers, teacher: Layers, mask: Tensor, mine: int, theirs: int
    ) -> Tensor:
        states, target = student.hidden_states[mine], teacher.hidden_states[theirs]
        return _distance(self.projection, states, target, mask)


class Embeddings(LayerLoss):
    """MSE(E_S W_e, E_T) of what comes before the first layer (TinyBERT's L_embd)."""

    def __init__(self, student: Source, teacher: Source) -> None:
        super().__init__(student, teacher)
        self.projection = _projection(student.embedding, teacher.embedding)

    def forward(self, student: Layers, teacher: Layers, mask: Tensor) -> Tensor:
        return _distance(self.projection, student.hidden_states[0], teacher.hidden_states[0], mask)


class Cosine(Hidden):
    """1 - cos(h_S W, h_T) of the last layer's states (DistilBERT, arXiv:1910.01108, sec. 3), with
    a learned W where the widths differ."""

    def __init__(self, student: Source, teacher: Source, layers: str = "") -> None:
        super().__init__(student, teacher, layers)

    def compare(
        self, student: Layers, teacher: Layers, mask: Tensor, mine: int, theirs: int
    ) -> Tensor:
        projected = self.projection(student.hidden_states[mine].float())
        target = teacher.hidden_states[theirs].float()
        return mean_over_text(1 - cosine_similarity(projected, target, dim=-1), mask)


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

    def compare(
        self, student: Layers, teacher: Layers, mask: Tensor, mine: int, theirs: int
    ) -> Tensor:
        ours, other = student.queries[mine - 1].float(), teacher.queries[theirs - 1].float()
        queries = [ours * ours.shape[-1] ** -0.5, -other * other.shape[-1] ** -0.5]
        keys = [student.keys[mine - 1].float(), teacher.keys[theirs - 1].float()]
        x, y = (_gram(torch.cat(both, dim=-1), mask) for both in (queries, keys))
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

    def compare(
        self, student: Layers, teacher: Layers, mask: Tensor, mine: int, theirs: int
    ) -> Tensor:
        ours = self._relations(student.values[mine - 1], mask)
        other = self._relations(teacher.values[theirs - 1], mask)
        divergence = (other.exp() * (other - ours)).sum(dim=-1)  # (B, heads, T)
        return mean_over_text(divergence.mean(dim=1), mask)

    def _relations(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, T, heads, W) -> log R, (B, relation heads, T, T)."""
        parts = values.float().flatten(2).unflatten(2, (self.heads, -1)).transpose(1, 2)
        scores = parts @ parts.transpose(-1, -2) * parts.shape[-1] ** -0.5
        hidden: Tensor = scores.masked_fill(mask[:, None, None, :] == 0, HIDDEN)
        return hidden.log_softmax(dim=-1)
