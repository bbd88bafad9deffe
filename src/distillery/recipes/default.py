"""The recipes of a task that has no file of its own: a user's data."""

from dataclasses import replace

from distillery.recipes.base import (
    AugmentationRecipe,
    BagRecipe,
    BaselineRecipe,
    DataRecipe,
    Losses,
    Phase,
    Plan,
    PretrainingRecipe,
    PruningRecipe,
    QuantizationRecipe,
    SequenceRecipe,
    StudentRecipe,
    TeacherRecipe,
)

DATA = DataRecipe()
PLAN = Plan(teachers=("minilm",), students=("bilstm", "attention"), compressed=("bilstm",))
BASELINE = BaselineRecipe()
AUGMENTATION = AugmentationRecipe()
QUANTIZATION = QuantizationRecipe()

LABELS: Losses = (("cross_entropy", 1.0, {}),)
LOGITS: Losses = (("mse", 1.0, {}),)


def pretraining(name: str) -> PretrainingRecipe:
    return PretrainingRecipe(learning_rate=3e-4 if name == "minilm" else 1e-4)


def teacher(name: str) -> TeacherRecipe:
    """A small encoder takes a larger step than one of BERT base's size."""
    return TeacherRecipe(epochs=3, learning_rate=8e-5 if name == "minilm" else 3e-5)


def student(name: str) -> StudentRecipe:
    """From labels alone."""
    phase = Phase(splits=("train",), losses=LABELS, epochs=6, batch_size=32)
    if name == "bag":
        phase = replace(phase, learning_rate=1e-2)
        return BagRecipe(phases=(phase,), dropout=0.0, precision="fp32")
    return SequenceRecipe(phases=(phase,), dropout=0.3)


def distillation(name: str, teacher: str) -> StudentRecipe:
    """From the teacher's logits, over the labelled and the unlabeled rows."""
    recipe = student(name)
    phase = replace(recipe.phases[0], splits=("train", "unlabeled"), losses=LOGITS)
    recipe = replace(recipe, phases=(phase,))
    if isinstance(recipe, SequenceRecipe):
        return replace(recipe, embeddings="teacher", dropout=0.1)
    return recipe


def pruning(phases: tuple[Phase, ...]) -> PruningRecipe:
    """phases: how the student was distilled."""
    return PruningRecipe(phases=phases)
