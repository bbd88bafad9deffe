"""Recipes: every hyperparameter of a stage, as frozen values that refuse impossible ones.

A field's annotation holds its one-line description, with the unit, and the checks of its value. The
command line makes its options from the fields (`recipes.options`).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints

from distillery import files
from distillery.errors import UserError, choose

SOURCE_SPLITS = ("train", "unlabeled")
TRANSFER_SPLITS = (*SOURCE_SPLITS, "augmented")

Check = Callable[[str, Any], object]  # (field, value); UserError where the value is impossible
# Name, weight and options of each, such as ("kl", 0.5, {"temperature": 2.0}).
Losses = tuple[tuple[str, float, dict[str, float | str]], ...]
# Type of a field -> the types of its values, and what an error calls them.
FORMS: dict[Any, tuple[Any, str]] = {
    int: (int, "a whole number"),
    float: (int | float, "a number"),
    str: (str, "a word"),
    tuple: (tuple, "a tuple"),
}


def refuse(name: str, value: object, allowed: str) -> None:
    raise UserError(f"{name} {value} is impossible: {allowed}")


def between(low: float, high: float = math.inf) -> Check:
    def check(name: str, value: float) -> None:
        if not low <= value <= high:
            refuse(name, value, f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}")

    return check


def positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        refuse(name, value, "more than 0, and finite")


def one_of(*allowed: object) -> Check:
    return lambda name, value: choose(name, str(value), allowed)


def each(check_one: Check, least: int = 1) -> Check:
    """At least `least` (0 or 1) values, and every one passes."""

    def check(name: str, values: tuple[Any, ...]) -> None:
        if len(values) < least:
            raise UserError(f"{name} needs at least one value")
        for value in values:
            check_one(name, value)

    return check


def splits_of(*allowed: str) -> Check:
    """At least one split, none of them twice."""

    def check(name: str, splits: tuple[str, ...]) -> None:
        each(lambda _, split: choose("split", split, allowed))(name, splits)
        if len(set(splits)) < len(splits):
            raise UserError(f"splits {','.join(splits)} name one twice")

    return check


def _weight(name: str, loss: tuple[str, float, Any]) -> None:
    positive(f"weight of loss {loss[0]}", loss[1])


@dataclass(frozen=True)
class Recipe:
    """What all recipes share: they check their values, and have a hash."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            if get_origin(hint) is not Annotated:
                continue
            kind, value = get_args(hint)[0], getattr(self, name)
            types, allowed = FORMS[get_origin(kind) or kind]
            if not isinstance(value, types) or isinstance(value, bool):
                refuse(name, repr(value), allowed)
            for check in hint.__metadata__[1:]:
                check(name, value)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def hash(self) -> str:
        return files.short_hash(self.as_dict())

    def changed(self, **values: Any) -> Self:
        """The recipe with these values; fields of a phase are set in its only phase. UserError on a
        field that it does not have."""
        phases: Any = getattr(self, "phases", ())
        own = [field.name for field in fields(self)]
        allowed = own + [field.name for phase in phases[:1] for field in fields(phase)]
        for name in values:
            choose("field of a recipe", name, allowed)
        of_phase = {name: values.pop(name) for name in [*values] if name not in own}
        if of_phase:
            (phase,) = phases
            values["phases"] = (replace(phase, **of_phase),)
        return replace(self, **values)


Precision = Annotated[
    str,
    "fp32, bf16, or auto: bf16 if the hardware has instructions for it, else fp32"
    " (DISTILLERY_PRECISION=fp32 or bf16 overrides auto)",
    one_of("auto", "fp32", "bf16"),
]
Epochs = Annotated[int, "passes over the rows", between(1, 100_000)]
LearningRate = Annotated[float, "peak learning rate", positive]
Warmup = Annotated[float, "share of the steps with a rising learning rate", between(0, 0.9)]


@dataclass(frozen=True, kw_only=True)
class Training(Recipe):
    """The optimizer (AdamW). The learning rate rises linearly over `warmup`, then falls linearly to
    zero."""

    epochs: Epochs = 3
    batch_size: Annotated[
        int, "rows per optimizer step, over all processes", between(1, 100_000)
    ] = 32
    learning_rate: LearningRate = 1e-3
    warmup: Warmup = 0.1
    weight_decay: Annotated[float, "decoupled weight decay", between(0, 100)] = 0.01

    def as_phase(self, splits: tuple[str, ...], losses: Losses) -> "Phase":
        """The training as a phase of the training loop."""
        shared = {field.name: getattr(self, field.name) for field in fields(Training)}
        return Phase(splits=splits, losses=losses, **shared)


@dataclass(frozen=True)
class Phase(Training):
    """One pass of the training loop: rows and losses."""

    splits: Annotated[
        tuple[str, ...],
        "splits whose rows are trained on, of train, unlabeled, augmented",
        splits_of(*TRANSFER_SPLITS),
    ]
    losses: Annotated[
        Losses,
        "losses as name:weight[:option=value], of labels (the true ones), mse, kl (with a"
        " temperature), teacher_labels, and of a live teacher's layers: embeddings, hidden, cosine,"
        " attention, value_relations (with heads), all but embeddings with layers (uniform, first,"
        " last, or pairs student-teacher as in hidden:1:layers=1-3+2-6); such as mse:1 or"
        " kl:0.9:temperature=4,labels:0.1",
        each(_weight),
    ]


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """How a text becomes word pieces. The default for long texts is what `truncation=True` does."""

    max_length: Annotated[
        int, "word pieces per text, special tokens included", between(8, 65_536)
    ] = 256
    head: Annotated[
        float,
        "when truncating, fraction kept from the beginning (the rest is kept from the end)",
        between(0, 1),
    ] = 1.0


@dataclass(frozen=True)
class DataRecipe(Recipe):
    """Stage 1: how the splits are made."""

    clean: Annotated[
        str,
        "none (texts are kept as they are), spaces (runs of white space become one blank), or"
        " markup (HTML tags are removed too, also from the texts a model is asked about)",
        one_of("none", "spaces", "markup"),
    ] = "none"
    same_text: Annotated[
        str,
        "two texts count as one if they are the same: exact (up to Unicode NFC and trimming), or"
        " in their letters (and digits; case, marks, blanks and HTML tags are ignored)",
        one_of("exact", "letters"),
    ] = "exact"
    dev_rows: Annotated[
        int,
        "rows carved from train for dev; 0: a tenth of what can go there, at most 2500",
        between(0),
    ] = 0
    dev_from: Annotated[
        str,
        "rows (any of train), or sentences: rows that are no part of another, whose own phrases"
        " then leave train; for a treebank's phrases",
        one_of("rows", "sentences"),
    ] = "rows"
    unlabeled_as: Annotated[
        str,
        "rows, or sentences: the unlabeled texts are cut into these, one a row",
        one_of("rows", "sentences"),
    ] = "rows"
    test_share: Annotated[
        float, "share of the rows for test, where a file has no test", between(0.01, 0.9)
    ] = 0.2
    split_seed: Annotated[int, "seed of the shuffle that carves dev and test", between(0)] = 0


Share = between(0, 1)


@dataclass(frozen=True)
class AugmentationRecipe(Recipe):
    """Between stages 1 and 2: changed copies of texts (Tang et al. 2019, arXiv:1903.12136)."""

    splits: Annotated[
        tuple[str, ...],
        "splits whose texts are changed, of train, unlabeled",
        splits_of(*SOURCE_SPLITS),
    ] = ("train",)
    copies: Annotated[
        int, "changed copies per text; those that repeat another are dropped", between(1, 1000)
    ] = 20
    p_mask: Annotated[float, "share of the words that become the mask", Share] = 0.1
    p_pos: Annotated[
        float,
        "share of the words that become another of their part of speech; 0.1 in the paper; needs"
        " nltk's averaged_perceptron_tagger_eng, for English texts",
        Share,
    ] = 0.0
    p_ngram: Annotated[float, "share of the copies of which one n-gram stays", Share] = 0.25
    ngram_min: Annotated[int, "words of the shortest n-gram", between(1, 100_000)] = 1
    ngram_max: Annotated[int, "words of the longest n-gram", between(1)] = 5
    seed: Annotated[int, "seed of all draws", between(0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p_mask + self.p_pos > 1:
            refuse("p_pos", self.p_pos, f"p_mask {self.p_mask:g} leaves less")
        if not self.p_mask + self.p_pos + self.p_ngram:
            raise UserError("augmentation changes nothing: one of p_mask, p_pos, p_ngram is not 0")
        between(self.ngram_min)("ngram_max", self.ngram_max)


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
