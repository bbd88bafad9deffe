"""Recipes of stages 2 to 5: what a model is, how it is trained and compressed; the baselines beside
them, and the benchmark that says what compression bought."""

import re
from dataclasses import dataclass, fields
from typing import Annotated, Any

from distillery.errors import UserError
from distillery.recipes.base import (
    SOURCE_SPLITS,
    Epochs,
    LearningRate,
    Phase,
    Precision,
    Recipe,
    TextRecipe,
    Training,
    Warmup,
    between,
    each,
    one_of,
    positive,
    refuse,
    splits_of,
)

Width = between(4, 65_536)


def _layers(name: str, rule: str) -> None:
    """The rule is one of `distillation.layers.mapping`."""
    if not re.fullmatch(r"uniform|first|last|\d+-\d+(\+\d+-\d+)*", rule, re.ASCII):
        allowed = "uniform, first, last, or pairs (student-teacher) such as 1-2+2-4+3-6"
        refuse(name, f"'{rule}'", allowed)


@dataclass(frozen=True)
class PretrainingRecipe(TextRecipe, Training):
    """Before stage 2: masked language modelling on the task's own texts."""

    splits: Annotated[
        tuple[str, ...],
        "splits whose texts are read, of train, unlabeled",
        splits_of(*SOURCE_SPLITS),
    ] = SOURCE_SPLITS
    masked: Annotated[float, "share of the word pieces to be guessed", between(0.01, 0.9)] = 0.2
    epochs: Epochs = 1
    learning_rate: LearningRate = 1e-4
    warmup: Warmup = 0.06
    precision: Precision = "auto"
    seed: Annotated[int, "seed of the masks and of the order of the texts", between(0)] = 0

    def phase(self) -> Phase:
        """Its loss is its own."""
        return self.as_phase(self.splits, (("masked_language", 1.0, {}),))


@dataclass(frozen=True)
class TeacherRecipe(TextRecipe, Training):
    """Stage 2: fine-tuning an encoder."""

    pretraining: Annotated[
        str,
        "none, or task: start from what scripts/distillery pretrain made of the encoder",
        one_of("none", "task"),
    ] = "none"
    tuned_layers: Annotated[
        int,
        "upper layers that are fine-tuned, with the classifier; lower layers and embeddings stay as"
        " pretrained. 0: fine-tune everything",
        between(0),
    ] = 0
    epochs: Annotated[int, "passes over train; 0: the model is fine-tuned already", between(0)] = 2
    learning_rate: LearningRate = 5e-5
    dropout: Annotated[float, "dropout of every layer, classifier included", between(0, 0.9)] = 0.0
    precision: Precision = "auto"
    min_dev_score: Annotated[
        float,
        "main metric that a teacher needs on dev; a constant answer it must beat anyway",
        between(0, 1),
    ] = 0.0

    def phase(self) -> Phase:
        return self.as_phase(("train",), (("labels", 1.0, {}),))


@dataclass(frozen=True)
class StudentRecipe(TextRecipe):
    """Stages 3 and 4: what the recipes of all students share; the training is a list of phases.

    A student trained on labels alone and a distilled one differ in the phases and the initial
    embeddings only.
    """

    tokenizer: Annotated[str, "encoder whose word pieces a student without teacher reads"] = (
        "minilm"
    )
    dropout: Annotated[
        float, "dropout on the embeddings and before the classifier", between(0, 0.9)
    ] = 0.1
    precision: Precision = "auto"
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.phases:
            raise UserError("a student's recipe needs at least one phase")

    def needs_teacher(self) -> bool:
        """Whether the initial weights come from a teacher."""
        return False

    def shape(self) -> dict[str, Any]:
        """The fields that go into the model's configuration."""
        other = ("tokenizer", "precision", "phases", "embeddings", "start")
        names = [field.name for field in fields(self) if field.name not in other]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class SequenceRecipe(StudentRecipe):
    """Students with a state per word piece: recurrent ones, attention, transformers."""

    embedding_size: Annotated[int, "width of the word embeddings", Width] = 128
    hidden_size: Annotated[
        int, "width of the states, both directions of an RNN together", Width
    ] = 256
    pooling: Annotated[
        str,
        "states to one vector: attention_max (both), or last (of either direction)",
        one_of("attention_max", "last"),
    ] = "attention_max"
    embeddings: Annotated[
        str,
        "initial word embeddings: random, encoder (PCA of those of `tokenizer`, as published; for a"
        " student without teacher), or teacher (PCA of the teacher's)",
        one_of("random", "encoder", "teacher"),
    ] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden_size % 4:
            refuse("hidden_size", self.hidden_size, "a multiple of 4 (directions, heads)")

    def needs_teacher(self) -> bool:
        return self.embeddings == "teacher"


@dataclass(frozen=True)
class BertStudentRecipe(StudentRecipe):
    """Students that are models of transformers: of BERT's shape, in the sizes that
    `students.STUDENTS` says, or of an encoder's own architecture with fewer layers."""

    start: Annotated[
        str,
        "initial weights: hub (its published checkpoint, fetched if need be), teacher (its layers"
        " where their sizes agree, else a PCA of its embeddings), encoder (that of `tokenizer`,"
        " likewise, for a student without teacher), random; auto: hub where the checkpoint is in"
        " data/encoders, else teacher, encoder where there is none",
        one_of("auto", "hub", "encoder", "teacher", "random"),
    ] = "auto"
    start_layers: Annotated[
        str,
        "where the student starts from layers of its teacher or encoder, which ones: uniform,"
        " first, last, or pairs (student-teacher) such as 1-2+2-4+3-6",
        _layers,
    ] = "uniform"

    def needs_teacher(self) -> bool:
        return self.start == "teacher"


@dataclass(frozen=True)
class BagRecipe(StudentRecipe):
    """The student `bag`: its table of buckets x embedding_size numbers is its size."""

    embedding_size: Annotated[int, "width of an n-gram's vector", between(1, 65_536)] = 2
    ngrams: Annotated[int, "longest n-gram of word pieces", between(1, 8)] = 2
    buckets: Annotated[
        int, "rows of the table that n-grams are hashed into", between(16, 2**28)
    ] = 2**20
    ngram_dropout: Annotated[
        float, "share of the n-grams left out in training", between(0, 0.9)
    ] = 0.0


@dataclass(frozen=True)
class BaselineRecipe(Recipe):
    """Stage 3: TF-IDF with logistic regression. The inverse regularization is chosen on dev."""

    ngrams: Annotated[int, "longest word n-gram counted", between(1)] = 2
    min_rows: Annotated[int, "rows an n-gram must occur in", between(1)] = 2
    inverse_regularization: Annotated[
        tuple[float, ...], "values of C tried on dev", each(positive)
    ] = (0.25, 1.0, 4.0, 16.0, 64.0)


@dataclass(frozen=True)
class NbsvmRecipe(BaselineRecipe):
    """Stage 3: NBSVM. The inverse regularization and the interpolation are chosen on dev."""

    inverse_regularization: Annotated[
        tuple[float, ...], "values of C tried on dev", each(positive)
    ] = (0.001, 0.01, 0.1, 1.0, 10.0)
    smoothing: Annotated[float, "added to each count of an n-gram (alpha)", positive] = 1.0
    interpolation: Annotated[
        tuple[float, ...],
        "values of beta tried on dev: 0 is naive Bayes, 1 the SVM alone",
        each(between(0, 1)),
    ] = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class PruningRecipe(Recipe):
    """Stage 5: what is taken out of a model, and how it is distilled again."""

    sparsity: Annotated[
        float,
        "share of the heads, feed-forward neurons and hidden units taken out of each layer",
        between(0, 0.99),
    ] = 0.5
    pieces: Annotated[
        int,
        "word pieces kept, the commonest of the task's texts and their characters; 0: all",
        between(0),
    ] = 0
    rows: Annotated[
        int, "rows of train that the importance of the units is measured on", between(1)
    ] = 1024
    precision: Precision = "auto"
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sparsity and not self.pieces:
            raise UserError("sparsity 0 and pieces 0 take nothing out: give one of them")
        if not self.phases:
            raise UserError("a pruned model's recipe needs at least one phase")


@dataclass(frozen=True)
class QuantizationRecipe(Recipe):
    """Stage 5: the types of an ONNX model's weights and inputs."""

    method: Annotated[
        str,
        "dynamic, or static: ranges of matmuls' inputs from dev rows; not for recurrent models",
        one_of("dynamic", "static"),
    ] = "dynamic"
    embedding_bits: Annotated[int, "bits of a value of the embeddings, 8 or 4", one_of(8, 4)] = 8
    calibration_rows: Annotated[
        int, "rows of dev that static ranges are measured on", between(1)
    ] = 256


@dataclass(frozen=True)
class InferenceRecipe(TextRecipe):
    """`bench inference`: what is timed, for how long, and the shape that it is compared with."""

    models: Annotated[
        tuple[str, ...],
        "results to time; all of the task that have a model, of a student the distilled one",
    ] = ()
    rounds: Annotated[int, "turns of each model that count", between(1, 100)] = 4
    seconds: Annotated[
        float, "seconds of a turn, at each batch size, with and without tokenization", positive
    ] = 0.4
    scores: Annotated[
        tuple[float, ...],
        "scores on test for which the fastest and the smallest model are quoted, 0 to 1",
        each(between(0, 1), least=0),
    ] = ()
    shape: Annotated[
        str,
        "the BERT that all is compared with: bert-base, or tiny for tests",
        one_of("bert-base", "tiny"),
    ] = "bert-base"
    tokenizer: Annotated[str, "encoder whose word pieces the shape reads"] = "minilm"
