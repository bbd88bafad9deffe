"""IMDB: 25,000 labelled and 50,000 unlabeled reviews of some 300 word pieces."""

from dataclasses import replace

from distillery.recipes import default
from distillery.recipes.base import (
    AugmentationRecipe,
    DataRecipe,
    Phase,
    Plan,
    PruningRecipe,
    StudentRecipe,
    TeacherRecipe,
)
from distillery.recipes.names import OWN_STUDENTS

TEACHER_LENGTH = 512
LONG = "bilstm2"  # the student that is to come closest to the teacher reads as far as it does
DATA = DataRecipe(dev_rows=2500)
# Five words of a long review say little: some sentences stay. A copy costs a teacher's pass.
AUGMENTATION = AugmentationRecipe(copies=2, ngram_min=32, ngram_max=128)
PLAN = Plan(
    teachers=("minilm",),
    students=tuple(OWN_STUDENTS),
    compressed=("attention", "bilstm", "transformer2"),
)


def teacher(name: str) -> TeacherRecipe:
    """A review has some 300 word pieces; 512 hold seven of eight reviews whole."""
    return TeacherRecipe(
        max_length=TEACHER_LENGTH,
        epochs=3,
        learning_rate=1e-4 if name == "minilm" else 3e-5,
        floor=0.88,
    )


def student(name: str) -> StudentRecipe:
    return _as_far(name, default.student(name)).trained(epochs=3)


def distillation(name: str, teacher: str) -> StudentRecipe:
    recipe = default.distillation(name, teacher)
    if name == "bag":
        return recipe.trained(epochs=3, batch_size=64)
    epochs = 3 if name == LONG else 2
    return _as_far(name, recipe).trained(epochs=epochs, batch_size=64, learning_rate=2e-3)


def _as_far(name: str, recipe: StudentRecipe) -> StudentRecipe:
    return replace(recipe, max_length=TEACHER_LENGTH) if name == LONG else recipe


def pruning(phases: tuple[Phase, ...]) -> PruningRecipe:
    """10,000 of the 30,522 word pieces: embeddings are most of a student's file."""
    return PruningRecipe(phases=phases, pieces=10_000)
