"""Recipes: every hyperparameter of a stage, as frozen values that refuse what cannot be.

A field's annotation carries its one-line description with the unit; the command line makes its
options from the fields (`recipes.options`), so there is no second list of them.
"""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from distillery import files
from distillery.errors import UserError, choose

DEV_FROM = ("rows", "sentences")
UNLABELED_AS = ("rows", "sentences")
CLEANING = ("none", "spaces", "markup")
SAME_TEXT = ("exact", "letters")
PRECISIONS = ("auto", "fp32", "bf16")
Precision = Annotated[
    str,
    "fp32, bf16, or auto: bf16 if the hardware has instructions for it, else fp32"
    " (DISTILLERY_PRECISION=fp32 or bf16 overrides auto)",
]
SOURCE_SPLITS = ("train", "unlabeled")
TRANSFER_SPLITS = (*SOURCE_SPLITS, "augmented")


def refuse(name: str, value: object, allowed: str) -> None:
    raise UserError(f"{name} {value} is impossible: {allowed}")


def at_least(recipe: Any, lowest: float, *names: str) -> None:
    for name in names:
        if not getattr(recipe, name) >= lowest:
            refuse(name, getattr(recipe, name), f"{lowest:g} or more")


def positive(value: float, name: str) -> None:
    if not 0 < value < math.inf:
        refuse(name, value, "more than 0, and finite")


def within(recipe: Any, low: float, high: float, *names: str) -> None:
    for name in names:
        if not low <= getattr(recipe, name) <= high:
            refuse(name, getattr(recipe, name), f"{low:g} to {high:g}")


@dataclass(frozen=True)
class Recipe:
    """What all recipes share: they are values with a hash."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def hash(self) -> str:
        return files.short_hash(self.as_dict())


@dataclass(frozen=True)
class DataRecipe(Recipe):
    """Stage 1: how the splits are made."""

    clean: Annotated[
        str,
        "none (texts are kept as they are), spaces (runs of white space become one blank), or"
        " markup (HTML tags are removed too, also from the texts a model is asked about)",
    ] = "none"
    same_text: Annotated[
        str,
        "two texts count as one if they are the same: exact (up to Unicode NFC and trimming), or"
        " in their letters (and digits; case, marks, blanks and HTML tags are ignored)",
    ] = "exact"
    dev_rows: Annotated[
        int, "rows carved from train for dev; 0: a tenth of what can go there, at most 2500"
    ] = 0
    dev_from: Annotated[
        str,
        "rows (any of train), or sentences: rows that are no part of another, whose own phrases"
        " then leave train; for a treebank's phrases",
    ] = "rows"
    unlabeled_as: Annotated[
        str, "rows, or sentences: the unlabeled texts are cut into these, one a row"
    ] = "rows"
    test_share: Annotated[float, "share of the rows for test, where a file has no test"] = 0.2
    split_seed: Annotated[int, "seed of the shuffle that carves dev and test"] = 0

    def __post_init__(self) -> None:
        at_least(self, 0, "dev_rows", "split_seed")
        choose("clean", self.clean, CLEANING)
        choose("same_text", self.same_text, SAME_TEXT)
        choose("dev_from", self.dev_from, DEV_FROM)
        choose("unlabeled_as", self.unlabeled_as, UNLABELED_AS)
        within(self, 0.01, 0.9, "test_share")


def distinct_splits(splits: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    if len(set(splits)) < len(splits):
        raise UserError(f"splits {','.join(splits)} name one twice")
    for split in splits:
        choose("split", split, allowed)


@dataclass(frozen=True)
class AugmentationRecipe(Recipe):
    """Between stages 1 and 2: changed copies of texts (Tang et al. 2019, arXiv:1903.12136)."""

    splits: Annotated[tuple[str, ...], "splits whose texts are changed, of train, unlabeled"] = (
        "train",
    )
    copies: Annotated[int, "changed copies per text; those that repeat another are dropped"] = 20
    p_mask: Annotated[float, "share of the words that become the mask"] = 0.1
    p_pos: Annotated[
        float,
        "share of the words that become another of their part of speech; 0.1 in the paper; needs"
        " nltk's averaged_perceptron_tagger_eng, for English texts",
    ] = 0.0
    p_ngram: Annotated[float, "share of the copies of which one n-gram stays"] = 0.25
    ngram_min: Annotated[int, "words of the shortest n-gram"] = 1
    ngram_max: Annotated[int, "words of the longest n-gram"] = 5
    seed: Annotated[int, "seed of all draws"] = 0

    def __post_init__(self) -> None:
        if not self.splits:
            raise UserError("augmentation needs at least one split")
        distinct_splits(self.splits, SOURCE_SPLITS)
        within(self, 1, 1000, "copies")
        within(self, 0, 1, "p_mask", "p_pos", "p_ngram")
        if self.p_mask + self.p_pos > 1:
            refuse("p_pos", self.p_pos, f"p_mask {self.p_mask:g} leaves less")
        if not self.p_mask + self.p_pos + self.p_ngram:
            raise UserError("augmentation changes nothing: one of p_mask, p_pos, p_ngram is not 0")
        within(self, 1, 100_000, "ngram_min")
        at_least(self, self.ngram_min, "ngram_max")
        at_least(self, 0, "seed")


Losses = tuple[tuple[str, float, dict[str, float]], ...]


@dataclass(frozen=True)
class Phase(Recipe):
    """One pass of the training loop: rows, losses and the optimizer (AdamW).

    The learning rate rises linearly over `warmup` and falls linearly to zero.
    """

    splits: Annotated[
        tuple[str, ...], "splits whose rows are trained on, of train, unlabeled, augmented"
    ]
    losses: Annotated[
        Losses,
        "losses as name:weight[:option=value], of labels (the true ones), mse, kl (with a"
        " temperature), teacher_labels, and of a live teacher's layers: embeddings, hidden, cosine,"
        " attention, value_relations (with heads); such as mse:1 or"
        " kl:0.9:temperature=4,labels:0.1",
    ]
    epochs: Annotated[int, "passes over the rows"] = 3
    batch_size: Annotated[int, "rows per optimizer step, over all processes"] = 32
    learning_rate: Annotated[float, "peak learning rate"] = 1e-3
    warmup: Annotated[float, "share of the steps with a rising learning rate"] = 0.1
    weight_decay: Annotated[float, "decoupled weight decay"] = 0.01

    def __post_init__(self) -> None:
        within(self, 1, 100_000, "epochs", "batch_size")
        within(self, 0, 0.9, "warmup")
        within(self, 0, 100, "weight_decay")
        positive(self.learning_rate, "learning_rate")
        if not self.splits or not self.losses:
            raise UserError("a phase needs at least one split and one loss")
        distinct_splits(self.splits, TRANSFER_SPLITS)
        for name, weight, _ in self.losses:
            positive(weight, f"weight of loss {name}")


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """How a text becomes word pieces. The default for long texts is what `truncation=True` does."""

    max_length: Annotated[int, "word pieces per text, special tokens included"] = 256
    head: Annotated[
        float, "when truncating, fraction kept from the beginning (the rest is kept from the end)"
    ] = 1.0

    def __post_init__(self) -> None:
        within(self, 8, 65_536, "max_length")
        within(self, 0, 1, "head")


def as_phase(recipe: Any, splits: tuple[str, ...], losses: Losses) -> Phase:
    """The fields that a recipe shares with `Phase`, as one."""
    shared = {field.name for field in fields(Phase)} & {field.name for field in fields(recipe)}
    given = {name: getattr(recipe, name) for name in shared - {"splits", "losses"}}
    return Phase(splits=splits, losses=losses, **given)


@dataclass(frozen=True)
class Plan(Recipe):
    """What `run_all.sh` runs for a task.

    compressed: the students that go through stage 5. prunes: whether stage 5 prunes them and
    distils them again, or exports and quantizes them only. seeds: the teachers and students that
    run with more than one seed, and how many.
    """

    teachers: tuple[str, ...]
    students: tuple[str, ...]
    compressed: tuple[str, ...] = ()
    prunes: bool = True
    seeds: dict[str, int] = field(default_factory=dict)
