"""What the layers of a student and of its teacher give, for losses that compare them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import BertForSequenceClassification

from distillery import encoders
from distillery.errors import UserError
from distillery.kernels import fast_bert
from distillery.models import auto, registry
from distillery.recipes import SequenceRecipe, StudentRecipe
from distillery.students import STUDENTS

EVERYTHING = ("hidden_states", "attentions", "values")  # what a BERT gives


@dataclass(frozen=True)
class Source:
    """What can be had of a model's layers, known before it is loaded.

    gives: of `EVERYTHING`. embedding: width of what comes before the first layer. width: of the
    states. heads: of attention, 0 in a model without. longest: text that it reads, in word pieces.
    """

    name: str
    gives: tuple[str, ...]
    layers: int
    embedding: int
    width: int
    heads: int
    longest: int

    def refuse_what_is_missing(self, needs: set[str]) -> None:
        """UserError where a loss needs what the model does not give."""
        if missing := sorted((needs & set(EVERYTHING)) - set(self.gives)):
            raise UserError(
                f"a loss needs the {' and '.join(missing).replace('_', ' ')} of {self.name}, which"
                f" gives {', '.join(self.gives).replace('_', ' ') or 'no states of its layers'}"
            )


def of_student(name: str, recipe: StudentRecipe, folder: Path) -> Source:
    """What the layers of a student give. folder: where its initialization comes from."""
    row = STUDENTS[name]
    if row.encoder:
        whole, longest = of_teacher(name, folder), recipe.max_length
        return replace(whole, name=f"student {name}", layers=row.layers, longest=longest)
    if shape := row.shape:
        sizes = (shape.layers, shape.width, shape.width, shape.heads)
        return Source(f"student {name}", EVERYTHING, *sizes, recipe.max_length)
    gives = registry.CLASSES[row.architecture].gives  # type: ignore[attr-defined]
    widths = (0, 0)
    if isinstance(recipe, SequenceRecipe):
        widths = (recipe.embedding_size, recipe.hidden_size)
    return Source(f"student {name}", gives, row.layers, *widths, 0, recipe.max_length)


def of_teacher(name: str, folder: Path) -> Source:
    """What the layers of the model saved in a folder give."""
    config = auto.read_config(folder)
    gives = EVERYTHING if config.model_type == "bert" else EVERYTHING[:1]
    return Source(
        f"teacher {name}",
        gives,
        config.num_hidden_layers,
        config.hidden_size,
        config.hidden_size,
        config.num_attention_heads,
        encoders.longest(config),
    )


def mapping(rule: str, student: int, teacher: int) -> list[tuple[int, int]]:
    """Pairs (layer of the student, layer of the teacher), both counted from 1.

    student, teacher: numbers of layers M and N. rule: uniform: m learns from m * N / M, rounded up
    (TinyBERT, arXiv:1909.10351, sec. 4.1); first: from m; last: from N - M + m; or explicit pairs
    such as 1-3+2-6. UserError for another rule, and for layers that don't exist.
    """
    every = range(1, student + 1)
    if rule == "uniform":
        pairs = [(layer, -(-layer * teacher // student)) for layer in every]
    elif rule in ("first", "last"):
        shift = teacher - student if rule == "last" else 0
        pairs = [(layer, layer + shift) for layer in every]
    else:
        try:
            named = [pair.split("-") for pair in str(rule).split("+")]
            pairs = [(int(mine), int(theirs)) for mine, theirs in named]
        except ValueError:
            raise UserError(
                f"unknown layers '{rule}': choose from uniform, first, last, or name pairs"
                " (student-teacher) such as 1-3+2-6"
            ) from None
    for mine, theirs in pairs:
        if not (1 <= mine <= student and 1 <= theirs <= teacher):
            raise UserError(
                f"layers {rule} is impossible: the student has {student} layers, the teacher"
                f" {teacher}, and {mine} would learn from {theirs}"
            )
    return pairs


@dataclass
class Layers:
    """What a model's layers gave for a batch.

    logits: (B, C). hidden_states: after the embeddings and after each layer, (B, T, H) each.
    queries, keys, values: of each layer, (B, T, heads, W); none of a model that is no BERT.
    """

    logits: Tensor
    hidden_states: tuple[Tensor, ...]
    queries: tuple[Tensor, ...] = ()
    keys: tuple[Tensor, ...] = ()
    values: tuple[Tensor, ...] = ()


class WithLayers(nn.Module):
    """A classifier that gives its layers beside its logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._seen: list[tuple[Tensor, ...]] | None = None  # a list while `forward` runs
        if isinstance(model, BertForSequenceClassification):
            fast_bert.use_attention_in(model, self._watch)

    def _watch(self, *projected: Tensor) -> None:
        if self._seen is not None:
            self._seen.append(projected)

    def forward(self, **inputs: Tensor) -> Layers:
        seen: list[tuple[Tensor, ...]] = []
        self._seen = seen
        try:
            output = self.model(**inputs, output_hidden_states=True)
        finally:
            self._seen = None
        return Layers(output.logits, output.hidden_states, *zip(*seen, strict=True))
