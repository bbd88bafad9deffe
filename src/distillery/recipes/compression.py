"""Recipes of stage 5, and of the benchmark that says what it bought."""

from dataclasses import dataclass
from typing import Annotated

from distillery.errors import UserError, choose
from distillery.recipes.base import (
    PRECISIONS,
    Phase,
    Precision,
    Recipe,
    TextRecipe,
    at_least,
    positive,
    within,
)

BENCH_SHAPES = ("bert-base", "tiny")
QUANTIZATIONS = ("dynamic", "static")


@dataclass(frozen=True)
class PruningRecipe(Recipe):
    """Stage 5: what is taken out of a model, and how it is distilled again."""

    sparsity: Annotated[
        float, "share of the heads, feed-forward neurons and hidden units taken out of each layer"
    ] = 0.5
    pieces: Annotated[
        int, "word pieces kept, the commonest of the task's texts and their characters; 0: all"
    ] = 0
    rows: Annotated[int, "rows of train that the importance of the units is measured on"] = 1024
    precision: Precision = "auto"
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        within(self, 0, 0.99, "sparsity")
        at_least(self, 0, "pieces")
        at_least(self, 1, "rows")
        choose("precision", self.precision, PRECISIONS)
        if not self.sparsity and not self.pieces:
            raise UserError("sparsity 0 and pieces 0 take nothing out: give one of them")
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
class InferenceRecipe(TextRecipe):
    """`bench inference`: what is timed, for how long, and the shape that it is compared with."""

    models: Annotated[
        tuple[str, ...],
        "results to time; all of the task that have a model, of a student the distilled one",
    ] = ()
    rounds: Annotated[int, "turns of each model that count"] = 4
    seconds: Annotated[
        float, "seconds of a turn, at each batch size, with and without tokenization"
    ] = 0.4
    shape: Annotated[str, "the BERT that all is compared with: bert-base, or tiny for tests"] = (
        "bert-base"
    )
    tokenizer: Annotated[str, "encoder whose word pieces the shape reads"] = "minilm"

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 1, 100, "rounds")
        positive(self.seconds, "seconds")
        choose("shape", self.shape, BENCH_SHAPES)
