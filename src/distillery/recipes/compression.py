"""Recipes of stage 5, and of the benchmark that says what it bought."""

from dataclasses import dataclass
from typing import Annotated

from distillery.errors import UserError
from distillery.recipes.base import (
    Phase,
    Precision,
    Recipe,
    TextRecipe,
    between,
    each,
    one_of,
    positive,
)


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
