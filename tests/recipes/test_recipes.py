"""Recipes: values with a hash that refuse what cannot be."""

import inspect
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from distillery import recipes, tasks
from distillery.cli import main
from distillery.distillation import losses
from distillery.distillation.layers import EVERYTHING
from distillery.errors import UserError
from distillery.recipes import base, default, models, smoke
from distillery.recipes.base import AugmentationRecipe, DataRecipe, Phase, Plan, Recipe
from distillery.recipes.models import (
    BagRecipe,
    BaselineRecipe,
    BertStudentRecipe,
    InferenceRecipe,
    NbsvmRecipe,
    PretrainingRecipe,
    PruningRecipe,
    QuantizationRecipe,
    SequenceRecipe,
    TeacherRecipe,
)
from distillery.students import BASELINES, STUDENTS

PHASE = Phase(splits=("train",), losses=default.LABELS)
STUDENT = SequenceRecipe(phases=(PHASE,))
BAG = BagRecipe(phases=(PHASE,))
BERT = BertStudentRecipe(phases=(PHASE,))
PRUNING = PruningRecipe(phases=(PHASE,))
EXAMPLES: tuple[Recipe, ...] = (
    *(DataRecipe(), AugmentationRecipe(), PHASE, PretrainingRecipe(), TeacherRecipe()),
    *(STUDENT, BAG, BERT, BaselineRecipe(), NbsvmRecipe(), PRUNING, QuantizationRecipe()),
    InferenceRecipe(),
)
OWN = "a-users-own"

IMPOSSIBLE: list[tuple[Recipe, dict[str, Any]]] = [
    (DataRecipe(), {"dev_rows": -1}),
    (DataRecipe(), {"test_share": 0.0}),
    (DataRecipe(), {"test_share": float("nan")}),
    (DataRecipe(), {"split_seed": -1}),
    (AugmentationRecipe(), {"splits": ()}),
    (AugmentationRecipe(), {"splits": ("train", "train")}),
    (AugmentationRecipe(), {"splits": ("dev",)}),
    (AugmentationRecipe(), {"splits": ("augmented",)}),
    (AugmentationRecipe(), {"copies": 0}),
    (AugmentationRecipe(), {"p_mask": -0.1}),
    (AugmentationRecipe(), {"p_ngram": float("nan")}),
    (AugmentationRecipe(), {"p_mask": 0.6, "p_pos": 0.5}),
    (AugmentationRecipe(), {"p_mask": 0.0, "p_ngram": 0.0}),
    (AugmentationRecipe(), {"ngram_min": 0}),
    (AugmentationRecipe(), {"ngram_max": 0}),
    (AugmentationRecipe(), {"ngram_min": 6}),
    (AugmentationRecipe(), {"seed": -1}),
    (PretrainingRecipe(), {"splits": ("train", "augmented")}),
    (PHASE, {"epochs": 0}),
    (PHASE, {"batch_size": 0}),
    (PHASE, {"learning_rate": 0.0}),
    (PHASE, {"learning_rate": float("nan")}),
    (PHASE, {"learning_rate": float("inf")}),
    (PHASE, {"warmup": 1.0}),
    (PHASE, {"warmup": -0.1}),
    (PHASE, {"weight_decay": -0.1}),
    (PHASE, {"weight_decay": float("inf")}),
    (PretrainingRecipe(), {"masked": 0.0}),
    (PretrainingRecipe(), {"seed": -1}),
    (PretrainingRecipe(), {"splits": ("test",)}),
    (PretrainingRecipe(), {"epochs": 0}),
    (PHASE, {"splits": ()}),
    (PHASE, {"splits": ("test",)}),
    (PHASE, {"splits": ("dev",)}),
    (PHASE, {"losses": ()}),
    (PHASE, {"losses": (("mse", 0.0, {}),)}),
    (PHASE, {"losses": (("mse", float("nan"), {}),)}),
    (PHASE, {"losses": (("mse", float("inf"), {}),)}),
    (TeacherRecipe(), {"max_length": 7}),
    (TeacherRecipe(), {"head": 1.1}),
    (TeacherRecipe(), {"epochs": -1}),
    (TeacherRecipe(), {"batch_size": 0}),
    (TeacherRecipe(), {"learning_rate": -1.0}),
    (TeacherRecipe(), {"dropout": float("nan")}),
    (TeacherRecipe(), {"dropout": 0.95}),
    (TeacherRecipe(), {"precision": "fp8"}),
    (TeacherRecipe(), {"min_dev_score": 1.5}),
    (TeacherRecipe(), {"pretraining": "wikipedia"}),
    (STUDENT, {"embedding_size": 0}),
    (STUDENT, {"hidden_size": 3}),
    (STUDENT, {"hidden_size": 33}),  # no two directions of one width
    (STUDENT, {"hidden_size": 34}),  # no four attention heads of one width
    (STUDENT, {"dropout": 1.0}),
    (STUDENT, {"embeddings": "word2vec"}),
    (STUDENT, {"pooling": "first"}),
    (BAG, {"ngrams": 0}),
    (BAG, {"buckets": 1}),
    (BAG, {"embedding_size": 0}),
    (BAG, {"ngram_dropout": 1.0}),
    (STUDENT, {"precision": "double"}),
    (STUDENT, {"phases": ()}),
    (BERT, {"phases": ()}),
    (BERT, {"start": "pca"}),
    (BERT, {"start_layers": "middle"}),
    (BERT, {"start_layers": "1-2+"}),
    (BERT, {"start_layers": ""}),
    (PHASE, {"epochs": 2.5}),
    (PHASE, {"epochs": "3"}),
    (PHASE, {"epochs": True}),
    (PHASE, {"learning_rate": "0.1"}),
    (PHASE, {"splits": "train"}),
    (PHASE, {"splits": ["train"]}),
    (STUDENT, {"tokenizer": None}),
    (PRUNING, {"sparsity": 1.0}),
    (PRUNING, {"sparsity": float("nan")}),
    (PRUNING, {"sparsity": 0.0}),  # and no pieces: nothing would change
    (PRUNING, {"pieces": -1}),
    (PRUNING, {"rows": 0}),
    (PRUNING, {"precision": "int8"}),
    (PRUNING, {"phases": ()}),
    (QuantizationRecipe(), {"method": "none"}),
    (QuantizationRecipe(), {"embedding_bits": 2}),
    (QuantizationRecipe(), {"calibration_rows": 0}),
    (BaselineRecipe(), {"ngrams": 0}),
    (BaselineRecipe(), {"min_rows": 0}),
    (BaselineRecipe(), {"inverse_regularization": ()}),
    (BaselineRecipe(), {"inverse_regularization": (1.0, 0.0)}),
    (BaselineRecipe(), {"inverse_regularization": (float("nan"),)}),
    (NbsvmRecipe(), {"inverse_regularization": ()}),
    (NbsvmRecipe(), {"smoothing": 0.0}),
    (NbsvmRecipe(), {"interpolation": ()}),
    (NbsvmRecipe(), {"interpolation": (0.5, 1.5)}),
    (NbsvmRecipe(), {"interpolation": (float("nan"),)}),
]


@pytest.mark.parametrize(
    ("recipe", "change"), IMPOSSIBLE, ids=[f"{type(r).__name__}-{c}" for r, c in IMPOSSIBLE]
)
def test_impossible_value_is_refused(recipe: Recipe, change: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        replace(recipe, **change)
    assert "\n" not in str(caught.value)


def test_refusal_names_field_value_and_what_is_allowed() -> None:
    with pytest.raises(UserError, match="warmup 2 is impossible: 0 to 0.9"):
        replace(PHASE, warmup=2)
    with pytest.raises(UserError, match="unknown precision 'fp8': choose from auto, fp32, bf16"):
        replace(STUDENT, precision="fp8")


@pytest.mark.parametrize("recipe", EXAMPLES, ids=lambda recipe: type(recipe).__name__)
def test_every_field_has_a_description_and_cannot_be_set(recipe: Recipe) -> None:
    for name, hint in get_type_hints(type(recipe), include_extras=True).items():
        assert name == "phases" or get_origin(hint) is Annotated, name
        assert name == "phases" or get_args(hint)[1].strip(), name
    with pytest.raises(FrozenInstanceError):
        setattr(recipe, fields(recipe)[0].name, 1)


def test_every_recipe_class_is_tried_above() -> None:
    found = {
        kind
        for module in (base, models)
        for _, kind in inspect.getmembers(module, is_dataclass)
        if issubclass(kind, Recipe)
        and kind not in (Recipe, Plan, base.TextRecipe, base.Training, models.StudentRecipe)
    }
    assert found == {type(recipe) for recipe in EXAMPLES}


@pytest.mark.parametrize("recipe", EXAMPLES, ids=lambda recipe: type(recipe).__name__)
def test_hash_is_that_of_the_values(recipe: Recipe) -> None:
    assert replace(recipe).hash() == recipe.hash()
    assert len(recipe.hash()) == 12


def test_hash_sees_a_change_deep_inside() -> None:
    kl: base.Losses = (("kl", 1.0, {"temperature": 2.0}),)
    warmer: base.Losses = (("kl", 1.0, {"temperature": 4.0}),)
    found = {
        replace(STUDENT, phases=(replace(PHASE, losses=losses),)).hash()
        for losses in (default.LABELS, kl, warmer)
    }
    assert len(found) == 3


def test_teacher_recipe_is_one_phase_with_its_own_values() -> None:
    recipe = TeacherRecipe(epochs=7, batch_size=5, learning_rate=1e-4, warmup=0.2)
    phase = recipe.phase()
    assert (phase.epochs, phase.batch_size, phase.learning_rate, phase.warmup) == (7, 5, 1e-4, 0.2)
    assert phase.losses == default.LABELS
    assert phase.splits == ("train",)


def test_teacher_that_is_tuned_already_needs_no_epochs() -> None:
    assert TeacherRecipe(epochs=0).epochs == 0


@pytest.mark.parametrize("task", [*tasks.names(), OWN])
def test_every_task_has_recipes_for_all_it_plans(task: str) -> None:
    plan = recipes.plan(task)
    assert plan.teachers
    assert set(plan.compressed) <= set(plan.students) <= set(STUDENTS)
    assert plan.seeds.keys() <= {*plan.teachers, *plan.students}
    assert recipes.data(task).hash()
    assert recipes.augmentation(task).hash()
    assert all(recipes.baseline(task, name).hash() for name in BASELINES)
    for teacher in plan.teachers:
        assert recipes.teacher(task, teacher).epochs >= 1
    for student in STUDENTS:
        alone = recipes.student(task, student)
        distilled = recipes.distillation(task, student, plan.teachers[0])
        assert {name for phase in alone.phases for name in phase.splits} == {"train"}
        assert alone.hash() != distilled.hash()
        # A student's shape does not depend on how it is trained.
        shapes = [{**recipe.shape(), "dropout": None} for recipe in (alone, distilled)]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("task", [*tasks.names(), OWN])
@pytest.mark.parametrize("name", [name for name, row in STUDENTS.items() if not row.own])
def test_a_bert_student_learns_layers_then_logits_of_the_text_its_teacher_reads(
    task: str, name: str
) -> None:
    teacher = recipes.plan(task).teachers[0]
    recipe = recipes.distillation(task, name, teacher)
    of_layers = [losses.needs(phase.losses) <= set(EVERYTHING) for phase in recipe.phases]
    assert of_layers == [True, False]
    assert losses.on_outputs(recipe.phases[-1].losses)
    assert recipe.max_length == recipes.teacher(task, teacher).max_length


@pytest.mark.parametrize("task", [*tasks.names(), OWN])
def test_teacher_and_students_read_the_same_part_of_a_long_text(task: str) -> None:
    teacher = recipes.plan(task).teachers[0]
    head = recipes.teacher(task, teacher).head
    for student in STUDENTS:
        assert recipes.distillation(task, student, teacher).head == head
        assert recipes.student(task, student).head == head
    assert recipes.pretraining(task, teacher).head == head


def test_a_users_long_texts_are_cut_as_truncation_does() -> None:
    assert recipes.teacher(OWN, "minilm").head == 1.0


def test_a_users_task_takes_the_defaults() -> None:
    assert recipes.data(OWN) == default.DATA
    assert recipes.teacher(OWN, "minilm") == default.teacher("minilm")
    # No module of the package is mistaken for a task's file of recipes.
    for name in ("base", "models", "options"):
        assert recipes.student(name, "bilstm") == default.student("bilstm")
        assert recipes.data(name) == default.DATA


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of recipes for a task `films`."""
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    yield tmp_path / "films.py"
    sys.modules.pop("distillery.recipes.films", None)
    vars(recipes).pop("films", None)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("def distilation(name, teacher): ...", "distilation"),
        ("HAED = 0.25", "HAED"),
        ("for EPOCHS in (): pass", "EPOCHS"),
        ("class Data: ...", "Data"),
    ],
)
def test_a_name_that_nothing_reads_is_refused(films: Path, line: str, name: str) -> None:
    films.write_text(f"HEAD = 0.5\n{line}\n")
    with pytest.raises(UserError) as caught:
        recipes.data("films")
    said = str(caught.value)
    assert said.startswith(f"nothing reads {name} in recipes/films.py: choose from DATA, PLAN, ")
    assert "\n" not in said


def test_imports_and_private_helpers_are_not_refused(films: Path) -> None:
    films.write_text(
        "import dataclasses\n"
        "from distillery.recipes import default\n"
        "from distillery.recipes.base import TRANSFER_SPLITS as SPLITS, DataRecipe\n"
        "_ROWS = 7\n"
        "DATA = DataRecipe(dev_rows=_ROWS)\n"
        "def teacher(name):\n"
        "    helper = default.teacher(name)\n"
        "    return helper.changed(epochs=9)\n"
    )
    assert recipes.data("films").dev_rows == 7
    assert recipes.teacher("films", "minilm").epochs == 9


def test_a_name_with_something_else_than_its_recipe_is_refused(films: Path) -> None:
    films.write_text("from distillery.recipes.base import DataRecipe\nPLAN = DataRecipe()\n")
    with pytest.raises(UserError, match=r"PLAN in recipes/films.py is a DataRecipe, not a Plan"):
        recipes.plan("films")


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(UserError, match="unknown field of a recipe 'epoch': choose from max_len"):
        STUDENT.changed(epoch=3)
    assert STUDENT.changed(epochs=9, dropout=0.2).phases == (replace(PHASE, epochs=9),)


def test_every_file_of_recipes_belongs_to_a_task() -> None:
    files = {module.name for module in pkgutil.iter_modules(recipes.__path__)}
    assert files - set(recipes.NO_TASKS) <= set(tasks.names())


def test_a_plan_that_trains_on_augmented_rows_asks_for_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that `run_all.sh` makes them."""
    assert not recipes.needs_augmentation("smoke")
    usual = smoke.distillation

    def distillation(name: str, teacher: str) -> models.StudentRecipe:
        recipe = usual(name, teacher)
        return replace(recipe, phases=(replace(recipe.phases[0], splits=("augmented",)),))

    monkeypatch.setattr(smoke, "distillation", distillation)
    assert recipes.needs_augmentation("smoke")
    assert main(["plan", "--task", "smoke"]) == 0
    assert "augmented" in capsys.readouterr().out.splitlines()
