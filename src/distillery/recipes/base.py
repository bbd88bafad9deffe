"""Recipes: every hyperparameter of a stage, as frozen values that refuse what cannot be.

A field's annotation carries its one-line description with the unit; the command line makes its
options from the fields (`recipes.options`), so there is no second list of them.
"""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any

from distillery import files
from distillery.errors import UserError, choose

PRECISIONS = ("auto", "fp32", "bf16")
EMBEDDINGS = ("random", "encoder", "teacher", "vectors")
VOCABULARIES = ("pieces", "words")
POOLINGS = ("attention_max", "last")
STARTS = ("auto", "hub", "encoder", "teacher", "random")
SOURCE_SPLITS = ("train", "unlabeled")
TRANSFER_SPLITS = (*SOURCE_SPLITS, "augmented")
PRETRAINING = ("none", "task")
BENCH_SHAPES = ("bert-base", "tiny")
QUANTIZATIONS = ("dynamic", "static")
PRUNINGS = ("structured", "magnitude")


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

    dev_rows: Annotated[int, "rows carved from train for dev; 0: a tenth, at most 2500"] = 0
    test_share: Annotated[float, "share of the rows for test, where a file has no test"] = 0.2
    split_seed: Annotated[int, "seed of the shuffle that carves dev and test"] = 0

    def __post_init__(self) -> None:
        at_least(self, 0, "dev_rows", "split_seed")
        within(self, 0.01, 0.9, "test_share")


def _distinct_splits(splits: tuple[str, ...], allowed: tuple[str, ...]) -> None:
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
        _distinct_splits(self.splits, SOURCE_SPLITS)
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
        "losses as name:weight[:option=value], of cross_entropy (labels), mse, kl (with a"
        " temperature), teacher_labels, and of a live teacher's layers: embeddings, hidden, cosine,"
        " attention, value_relations (with heads); such as mse:1 or"
        " kl:0.9:temperature=4,cross_entropy:0.1",
    ]
    epochs: Annotated[int, "passes over the rows"] = 3
    batch_size: Annotated[int, "rows per optimizer step, over all processes"] = 32
    learning_rate: Annotated[float, "peak learning rate"] = 1e-3
    warmup: Annotated[float, "share of the steps with a rising learning rate"] = 0.1
    weight_decay: Annotated[float, "decoupled weight decay"] = 0.01
    max_grad_norm: Annotated[float, "gradients are clipped to this norm"] = 1.0
    averaging: Annotated[
        float, "decay of the moving average of the weights that is kept; 0: the weights themselves"
    ] = 0.0

    def __post_init__(self) -> None:
        within(self, 1, 100_000, "epochs", "batch_size")
        within(self, 0, 0.9, "warmup")
        within(self, 0, 0.99999, "averaging")
        within(self, 0, 100, "weight_decay")
        positive(self.learning_rate, "learning_rate")
        if not self.max_grad_norm > 0:
            refuse("max_grad_norm", self.max_grad_norm, "more than 0")
        if not self.splits or not self.losses:
            raise UserError("a phase needs at least one split and one loss")
        _distinct_splits(self.splits, TRANSFER_SPLITS)
        for name, weight, _ in self.losses:
            positive(weight, f"weight of loss {name}")


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """How a text becomes pieces: long ones keep their head and their tail."""

    max_length: Annotated[int, "word pieces per text, special tokens included"] = 256
    head: Annotated[
        float, "of a text that is cut: share of max-length kept from its start, not its end"
    ] = 0.25

    def __post_init__(self) -> None:
        within(self, 8, 65_536, "max_length")
        within(self, 0, 1, "head")


def _as_phase(recipe: Any, splits: tuple[str, ...], losses: Losses) -> Phase:
    """The fields that a recipe shares with `Phase`, as one."""
    shared = {field.name for field in fields(Phase)} & {field.name for field in fields(recipe)}
    given = {name: getattr(recipe, name) for name in shared - {"splits", "losses"}}
    return Phase(splits=splits, losses=losses, **given)


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
    max_grad_norm: Annotated[float, "gradients are clipped to this norm"] = 1.0
    precision: Annotated[str, "auto (the faster one, measured), fp32 or bf16"] = "auto"
    seed: Annotated[int, "seed of the masks and of the order of the texts"] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0.01, 0.9, "masked")
        at_least(self, 0, "seed")
        choose("precision", self.precision, PRECISIONS)
        _distinct_splits(self.splits, SOURCE_SPLITS)
        self.phase()

    def phase(self) -> Phase:
        """The pretraining as a phase of the training loop; its loss is its own."""
        return _as_phase(self, self.splits, (("masked_language", 1.0, {}),))


@dataclass(frozen=True)
class TeacherRecipe(TextRecipe):
    """Stage 2: fine-tuning an encoder."""

    pretraining: Annotated[
        str, "none, or task: start from what distillery pretrain made of the encoder"
    ] = "none"
    epochs: Annotated[int, "passes over train; 0: the model is fine-tuned already"] = 2
    batch_size: Annotated[int, "rows per optimizer step, over all processes"] = 32
    learning_rate: Annotated[float, "peak learning rate"] = 5e-5
    warmup: Annotated[float, "share of the steps with a rising learning rate"] = 0.1
    weight_decay: Annotated[float, "decoupled weight decay"] = 0.01
    max_grad_norm: Annotated[float, "gradients are clipped to this norm"] = 1.0
    dropout: Annotated[
        str, "a number, or auto: the encoder's own, but none where it slows a step by over 10 %"
    ] = "auto"
    precision: Annotated[str, "auto (the faster one, measured), fp32 or bf16"] = "auto"
    floor: Annotated[
        float, "dev accuracy a teacher needs; the majority class it must beat anyway"
    ] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "epochs")
        if self.epochs:
            self.phase()
        self.fixed_dropout()
        within(self, 0, 1, "floor")
        choose("precision", self.precision, PRECISIONS)
        choose("pretraining", self.pretraining, PRETRAINING)

    def fixed_dropout(self) -> float | None:
        """The dropout as a number, None where the machine decides."""
        if self.dropout == "auto":
            return None
        try:
            value = float(self.dropout)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 0.9:
            refuse("dropout", self.dropout, "auto, or 0 to 0.9")
        return value

    def phase(self) -> Phase:
        """The fine-tuning as a phase of the training loop."""
        return _as_phase(self, ("train",), (("cross_entropy", 1.0, {}),))


@dataclass(frozen=True)
class StudentRecipe(TextRecipe):
    """Stages 3 and 4: what the recipes of all students share; the training is a list of phases.

    A student trained on labels alone and a distilled one differ in the phases and the start of
    the embeddings only.
    """

    tokenizer: Annotated[str, "encoder whose word pieces a student without teacher reads"] = (
        "minilm"
    )
    vocabulary: Annotated[
        str, "pieces (the teacher's or the tokenizer's), or words (the commonest of the texts)"
    ] = "pieces"
    words: Annotated[int, "words in a vocabulary of words"] = 30_000
    dropout: Annotated[float, "dropout on the embeddings and before the classifier"] = 0.1
    precision: Annotated[str, "auto (the faster one, measured), fp32 or bf16"] = "auto"
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, 0.9, "dropout")
        choose("vocabulary", self.vocabulary, VOCABULARIES)
        within(self, 100, 10_000_000, "words")
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
        "their start: random, encoder (PCA of those of `tokenizer`, as published; for a student"
        " without teacher), teacher (PCA of the teacher's), or vectors (a file's)",
    ] = "random"
    vectors: Annotated[str, "file in data/vectors in GloVe's text format, plain or .gz"] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 4, 65_536, "embedding_size", "hidden_size")
        if self.hidden_size % 4:
            refuse("hidden_size", self.hidden_size, "a multiple of 4 (directions, heads)")
        choose("start of the embeddings", self.embeddings, EMBEDDINGS)
        choose("pooling", self.pooling, POOLINGS)
        if (self.embeddings == "vectors") != bool(self.vectors):
            raise UserError("embeddings=vectors and the vectors' file go together: name both")
        if self.embeddings in ("encoder", "teacher") and self.vocabulary == "words":
            raise UserError(f"embeddings={self.embeddings} needs its vocabulary, pieces")

    def needs_teacher(self) -> bool:
        return self.embeddings == "teacher"

    def shape(self) -> dict[str, Any]:
        names = ("embedding_size", "hidden_size", "pooling")
        return {**super().shape(), **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class BertStudentRecipe(StudentRecipe):
    """Students of BERT's shape, whose sizes their names say (`names.BERT_STUDENTS`)."""

    start: Annotated[
        str,
        "of the weights: hub (its published checkpoint, fetched if need be), teacher (its layers"
        " where their sizes agree, else a PCA of its embeddings), encoder (that of `tokenizer`,"
        " likewise, for a student without teacher), random; auto: hub where the checkpoint is in"
        " data/encoders, else teacher, encoder where there is none",
    ] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("start", self.start, STARTS)
        if self.vocabulary == "words" and self.start != "random":
            raise UserError(f"start={self.start} needs its own vocabulary: only random takes words")

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
class PruningRecipe(Recipe):
    """Stage 5: what is taken out of a model, and how it is distilled again."""

    method: Annotated[
        str,
        "structured, or as a baseline magnitude: zeros in place of the smallest weights, which"
        " make neither the file smaller nor the model faster",
    ] = "structured"
    sparsity: Annotated[
        float,
        "share of the heads, feed-forward neurons and hidden units taken out of each layer, or of"
        " the weights of each matrix",
    ] = 0.5
    pieces: Annotated[
        int, "word pieces kept, the commonest of the task's texts and their characters; 0: all"
    ] = 0
    rows: Annotated[int, "rows of train that the importance of the units is measured on"] = 1024
    precision: Annotated[str, "auto (the faster one, measured), fp32 or bf16"] = "auto"
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        choose("method", self.method, PRUNINGS)
        within(self, 0, 0.99, "sparsity")
        at_least(self, 0, "pieces")
        at_least(self, 1, "rows")
        choose("precision", self.precision, PRECISIONS)
        if not self.sparsity and not self.pieces:
            raise UserError("sparsity 0 and pieces 0 take nothing out: give one of them")
        if self.method == "magnitude" and not self.sparsity:
            raise UserError("sparsity 0 is impossible for magnitude: above 0, to 0.99")
        if not self.phases:
            raise UserError("a pruned model's recipe needs at least one phase")


@dataclass(frozen=True)
class QuantizationRecipe(Recipe):
    """Stage 5: the types of an ONNX model's weights and inputs."""

    method: Annotated[
        str, "dynamic, or static: ranges of matmuls' inputs from dev rows; not for recurrent models"
    ] = "dynamic"
    embedding_bits: Annotated[int, "bits of a value of the embeddings, 8 or 4"] = 8
    calibration_rows: Annotated[int, "rows of dev that static ranges are measured on"] = 256

    def __post_init__(self) -> None:
        choose("method", self.method, QUANTIZATIONS)
        choose("embedding_bits", str(self.embedding_bits), ("8", "4"))
        at_least(self, 1, "calibration_rows")


@dataclass(frozen=True)
class BaselineRecipe(Recipe):
    """Stage 3: TF-IDF with logistic regression. The inverse regularization is chosen on dev."""

    ngrams: Annotated[int, "longest word n-gram counted"] = 2
    min_rows: Annotated[int, "rows an n-gram must occur in"] = 2
    inverse_regularization: Annotated[tuple[float, ...], "values of C tried on dev"] = (
        1.0,
        4.0,
        16.0,
    )

    def __post_init__(self) -> None:
        at_least(self, 1, "ngrams", "min_rows")
        if not self.inverse_regularization:
            raise UserError("inverse_regularization needs at least one value")
        for value in self.inverse_regularization:
            positive(value, "inverse_regularization")


@dataclass(frozen=True)
class InferenceRecipe(TextRecipe):
    """`bench inference`: what is timed, for how long, and the shape that it is compared with."""

    models: Annotated[tuple[str, ...], "results to time; all of the task that have a model"] = ()
    rounds: Annotated[int, "turns of each model that count"] = 4
    seconds: Annotated[float, "of a turn, at each batch size, with and without tokenization"] = 0.4
    shape: Annotated[str, "the BERT that all is compared with: bert-base, or tiny for tests"] = (
        "bert-base"
    )
    tokenizer: Annotated[str, "encoder whose word pieces the shape reads"] = "minilm"

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, 100, "rounds")
        positive(self.seconds, "seconds")
        choose("shape", self.shape, BENCH_SHAPES)


@dataclass(frozen=True)
class NbsvmRecipe(BaselineRecipe):
    """Stage 3: NBSVM. The inverse regularization and the interpolation are chosen on dev."""

    inverse_regularization: Annotated[tuple[float, ...], "values of C tried on dev"] = (
        0.01,
        0.1,
        1.0,
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


@dataclass(frozen=True)
class Plan(Recipe):
    """What `run_all.sh` runs for a task. compressed: the students that go through stage 5."""

    teachers: tuple[str, ...]
    students: tuple[str, ...]
    compressed: tuple[str, ...] = ()
