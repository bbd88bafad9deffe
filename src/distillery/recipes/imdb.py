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

DATA = DataRecipe(dev_rows=2500)
# Five words of a long review say little: some sentences stay. A copy costs a teacher's pass.
AUGMENTATION = AugmentationRecipe(copies=2, ngram_min=32, ngram_max=128)
PLAN = Plan(
    teachers=("minilm",),
    students=tuple(OWN_STUDENTS),
    compressed=("attention", "bilstm", "transformer2"),
)


def teacher(name: str) -> TeacherRecipe:
    """A review has some 300 word pieces; 512 hold seven of eight whole."""
    return TeacherRecipe(
        max_length=512,
        epochs=3,
        learning_rate=1e-4 if name == "minilm" else 3e-5,
        floor=0.88,
    )


def student(name: str) -> StudentRecipe:
    recipe = default.student(name)
    return replace(recipe, phases=(replace(recipe.phases[0], epochs=3),))


def distillation(name: str, teacher: str) -> StudentRecipe:
    recipe = default.distillation(name, teacher)
    phase = replace(recipe.phases[0], epochs=2, batch_size=64, learning_rate=2e-3)
    return replace(recipe, phases=(phase,))


def pruning(phases: tuple[Phase, ...]) -> PruningRecipe:
    """10,000 of the 30,522 word pieces: embeddings are most of a student's file."""
    return PruningRecipe(phases=phases, pieces=10_000)
