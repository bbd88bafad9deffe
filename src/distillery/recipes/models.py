"""Recipes of stages 2 to 4: what a model is and how it is trained; the baselines beside them."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from distillery.errors import UserError, choose
from distillery.recipes.base import (
    PRECISIONS,
    SOURCE_SPLITS,
    Phase,
    Precision,
    Recipe,
    TextRecipe,
    as_phase,
    at_least,
    distinct_splits,
    positive,
    refuse,
    within,
)

EMBEDDINGS = ("random", "encoder", "teacher")
POOLINGS = ("attention_max", "last")
STARTS = ("auto", "hub", "encoder", "teacher", "random")
PRETRAINING = ("none", "task")


@dataclass(frozen=True)
class PretrainingRecipe(TextRecipe):
    """Before stage 2: masked language modelling on the task's own texts."""

    splits: Annotated[tuple[str, ...], "splits whose texts are read, of train, unlabeled"] = (
        *SOURCE_SPLITS,
    )
    masked: Annotated[float, "share of the word pieces to be guessed"] = 0.2
    epochs: Annotated[int, "passes over the texts"] = 1
    batch_size: Annotated[int, "rows per optimizer step, over all processes"] = 32
    learning_rate: Annotated[float, "peak learning rate"] = 1e-4
    warmup: Annotated[float, "share of the steps with a rising learning rate"] = 0.06
    weight_decay: Annotated[float, "decoupled weight decay"] = 0.01
    precision: Precision = "auto"
    seed: Annotated[int, "seed of the masks and of the order of the texts"] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0.01, 0.9, "masked")
        at_least(self, 0, "seed")
        choose("precision", self.precision, PRECISIONS)
        distinct_splits(self.splits, SOURCE_SPLITS)
        self.phase()

    def phase(self) -> Phase:
        """The pretraining as a phase of the training loop; its loss is its own."""
        return as_phase(self, self.splits, (("masked_language", 1.0, {}),))


@dataclass(frozen=True)
class TeacherRecipe(TextRecipe):
    """Stage 2: fine-tuning an encoder."""

    pretraining: Annotated[
        str, "none, or task: start from what scripts/distillery pretrain made of the encoder"
    ] = "none"
    tuned_layers: Annotated[
        int,
        "upper layers that are fine-tuned, with the classifier; lower layers and embeddings stay as"
        " pretrained. 0: fine-tune everything",
    ] = 0
    epochs: Annotated[int, "passes over train; 0: the model is fine-tuned already"] = 2
    batch_size: Annotated[int, "rows per optimizer step, over all processes"] = 32
    learning_rate: Annotated[float, "peak learning rate"] = 5e-5
    warmup: Annotated[float, "share of the steps with a rising learning rate"] = 0.1
    weight_decay: Annotated[float, "decoupled weight decay"] = 0.01
    dropout: Annotated[float, "dropout of every layer, classifier included"] = 0.0
    precision: Precision = "auto"
    floor: Annotated[
        float, "dev accuracy a teacher needs; the majority class it must beat anyway"
    ] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "epochs", "tuned_layers")
        if self.epochs:
            self.phase()
        within(self, 0, 0.9, "dropout")
        within(self, 0, 1, "floor")
        choose("precision", self.precision, PRECISIONS)
        choose("pretraining", self.pretraining, PRETRAINING)

    def phase(self) -> Phase:
        """The fine-tuning as a phase of the training loop."""
        return as_phase(self, ("train",), (("labels", 1.0, {}),))


@dataclass(frozen=True)
class StudentRecipe(TextRecipe):
    """Stages 3 and 4: what the recipes of all students share; the training is a list of phases.

    A student trained on labels alone and a distilled one differ in the phases and the start of
    the embeddings only.
    """

    tokenizer: Annotated[str, "encoder whose word pieces a student without teacher reads"] = (
        "minilm"
    )
    dropout: Annotated[float, "dropout on the embeddings and before the classifier"] = 0.1
    precision: Precision = "auto"
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, 0.9, "dropout")
        choose("precision", self.precision, PRECISIONS)
        if not self.phases:
            raise UserError("a student's recipe needs at least one phase")

    def needs_teacher(self) -> bool:
        """Whether the model's start comes from a teacher."""
        return False

    def trained(self, **values: Any) -> "StudentRecipe":
        """With these values in its phase, of which it has one."""
        (phase,) = self.phases
        return replace(self, phases=(replace(phase, **values),))

    def shape(self) -> dict[str, Any]:
        """The fields that go into the model's configuration."""
        names = ("dropout", "max_length", "head")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class SequenceRecipe(StudentRecipe):
    """Students with a state per word piece: recurrent ones, attention, transformers."""

    embedding_size: Annotated[int, "width of the word embeddings"] = 128
    hidden_size: Annotated[int, "width of the states, both directions of an RNN together"] = 256
    pooling: Annotated[
        str, "states to one vector: attention_max (both), or last (of either direction)"
    ] = "attention_max"
    embeddings: Annotated[
        str,
        "start of the word embeddings: random, encoder (PCA of those of `tokenizer`, as published;"
        " for a student without teacher), or teacher (PCA of the teacher's)",
    ] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 4, 65_536, "embedding_size", "hidden_size")
        if self.hidden_size % 4:
            refuse("hidden_size", self.hidden_size, "a multiple of 4 (directions, heads)")
        choose("start of the embeddings", self.embeddings, EMBEDDINGS)
        choose("pooling", self.pooling, POOLINGS)

    def needs_teacher(self) -> bool:
        return self.embeddings == "teacher"

    def shape(self) -> dict[str, Any]:
        names = ("embedding_size", "hidden_size", "pooling")
        return {**super().shape(), **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class BertStudentRecipe(StudentRecipe):
    """Students of BERT's shape, whose sizes `students.STUDENTS` says."""

    start: Annotated[
        str,
        "start of the weights: hub (its published checkpoint, fetched if need be), teacher (its"
        " layers where their sizes agree, else a PCA of its embeddings), encoder (that of"
        " `tokenizer`, likewise, for a student without teacher), random; auto: hub where the"
        " checkpoint is in"
        " data/encoders, else teacher, encoder where there is none",
    ] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("start", self.start, STARTS)

    def needs_teacher(self) -> bool:
        return self.start == "teacher"


@dataclass(frozen=True)
class BagRecipe(StudentRecipe):
    """The student `bag`: its table of buckets x embedding_size numbers is its size."""

    embedding_size: Annotated[int, "width of an n-gram's vector"] = 2
    ngrams: Annotated[int, "longest n-gram of word pieces"] = 2
    buckets: Annotated[int, "rows of the table that n-grams are hashed into"] = 2**20
    ngram_dropout: Annotated[float, "share of the n-grams left out in training"] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, 65_536, "embedding_size")
        within(self, 1, 8, "ngrams")
        within(self, 16, 2**28, "buckets")
        within(self, 0, 0.9, "ngram_dropout")

    def shape(self) -> dict[str, Any]:
        names = ("embedding_size", "ngrams", "buckets", "ngram_dropout")
        return {**super().shape(), **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class BaselineRecipe(Recipe):
    """Stage 3: TF-IDF with logistic regression. The inverse regularization is chosen on dev."""

    ngrams: Annotated[int, "longest word n-gram counted"] = 2
    min_rows: Annotated[int, "rows an n-gram must occur in"] = 2
    inverse_regularization: Annotated[tuple[float, ...], "values of C tried on dev"] = (
        *(0.25, 1.0, 4.0),
        *(16.0, 64.0),
    )

    def __post_init__(self) -> None:
        at_least(self, 1, "ngrams", "min_rows")
        if not self.inverse_regularization:
            raise UserError("inverse_regularization needs at least one value")
        for value in self.inverse_regularization:
            positive(value, "inverse_regularization")


@dataclass(frozen=True)
class NbsvmRecipe(BaselineRecipe):
    """Stage 3: NBSVM. The inverse regularization and the interpolation are chosen on dev."""

    inverse_regularization: Annotated[tuple[float, ...], "values of C tried on dev"] = (
        *(0.001, 0.01, 0.1),
        *(1.0, 10.0),
    )
    smoothing: Annotated[float, "added to each count of an n-gram (alpha)"] = 1.0
    interpolation: Annotated[
        tuple[float, ...], "values of beta tried on dev: 0 is naive Bayes, 1 the SVM alone"
    ] = (0.25, 0.5, 0.75, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.smoothing, "smoothing")
        if not self.interpolation:
            raise UserError("interpolation needs at least one value")
        for value in self.interpolation:
            if not 0 <= value <= 1:
                refuse("interpolation", value, "0 to 1")
