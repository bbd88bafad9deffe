"""Stages 3 and 4: a student, trained on labels alone or on what its teachers say.

Of a teacher the recorded outputs are read; it runs live in phases that compare layers.
"""

import logging
from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from torch import nn

from distillery import paths
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation import initialization, layers, losses
from distillery.distillation.signals import Taught, check_on_dev, find
from distillery.encoders import short_names
from distillery.errors import UserError
from distillery.experiments import experiment
from distillery.experiments import phases as training
from distillery.experiments.experiment import Stage
from distillery.kernels import hardware
from distillery.models import tokenization
from distillery.models.saved import Model
from distillery.recipes import StudentRecipe
from distillery.students import STUDENTS
from distillery.training import loop


def prepare(task: Task, recipe: StudentRecipe, arguments: Namespace) -> "Student":
    """The student that the command line asks for."""
    teachers = arguments.teacher and ",".join(short_names(arguments.teacher))
    variants = arguments.teacher_variant, arguments.variant
    return Student(task, recipe, arguments.student, teachers, *variants)


def run(task: Task, recipe: StudentRecipe, arguments: Namespace) -> None:
    """Trains a student and writes its result."""
    experiment.run(prepare(task, recipe, arguments), arguments)


class Student(Stage):
    """A student; with teachers this is distillation.

    teachers: names as in results, several separated by commas. teacher_variant: they were made
    with this variant.
    """

    stage = "student"
    version = 2
    recipe: StudentRecipe

    def __init__(
        self,
        task: Task,
        recipe: StudentRecipe,
        student: str,
        teachers: str | None = None,
        teacher_variant: str | None = None,
        variant: str | None = None,
    ) -> None:
        self.task, self.recipe, self.student = task, recipe, student
        self.layers = STUDENTS[student].layers
        self.variant = variant
        needs = set().union(*(losses.needs(phase.losses) for phase in recipe.phases))
        _refuse_what_is_missing(recipe, needs, teachers)
        self.taught = Taught()
        if teachers:
            self.stage = "distillation"
            found = tuple(find(task, name, teacher_variant) for name in teachers.split(","))
            self.taught = Taught(found, tuple(teacher.outputs(task) for teacher in found))
            for teacher, outputs in zip(found, self.taught.outputs, strict=True):
                check_on_dev(task, teacher, outputs)
            self.teacher = teachers.replace(",", "-")
            self.name = paths.distillation_result(
                task.name, student, self.teacher, teacher_variant, variant
            )
            if teacher_variant:  # as the table shows it
                self.variant = " ".join(filter(None, (f"teacher.{teacher_variant}", variant)))
        else:
            self.name = paths.student_result(task.name, student, variant)
        first = self.taught.teachers[0] if teachers else None
        self.start = initialization.choose(student, recipe, first)
        self.compared = self._compared() if needs & set(layers.EVERYTHING) else None

    def inputs(self) -> dict[str, str]:
        found = dict(self.start.inputs)
        for teacher in self.taught.teachers:
            found[teacher.weights.relative_to(paths.data()).as_posix()] = teacher.weights_sha256
        if self.taught.teachers:
            prints = [teacher.fingerprint for teacher in self.taught.teachers]
            found[f"{self.task.name}/outputs"] = ",".join(prints)
        return found

    def build(self) -> Model:
        tokenizer = self.start.tokenizer(self.task)
        network, said = self.start.build(self.task, self.recipe, tokenizer)
        precision = hardware.precision(self.recipe.precision)
        model = Model(network, tokenizer, self.recipe.max_length, self.recipe.head, precision)
        if said:
            logging.info("%s starts from: %s", self.name, said)
            model.facts["start"] = said
        return model

    def phases(self, model: Model, seed: int) -> Iterable[tuple[nn.Module, loop.Job]]:
        recipe = self.recipe.phases
        taught = self.taught, self.compared
        return training.jobs(model, recipe, self.task, self.name, seed, *taught)

    def _compared(self) -> training.Compared:
        """What student and teacher give of their layers; UserError if that can't be compared."""
        if len(self.taught.teachers) != 1:
            raise UserError("a loss on layers compares the student with one teacher: name one")
        (teacher,), recipe = self.taught.teachers, self.recipe
        student = layers.of_student(str(self.student), recipe, self.start.folder)
        compared = student, layers.of_teacher(teacher.name, teacher.folder)
        for phase in recipe.phases:
            losses.Losses(phase.losses, self.task.kind.name, *compared)  # refuses
        if recipe.max_length > compared[1].longest:
            raise UserError(
                f"max_length {recipe.max_length} is impossible: teacher {teacher.name} reads"
                f" {compared[1].longest} word pieces"
            )
        clean = store.cleaning(self.task.name)
        mine, theirs = (
            tokenization.load(folder, clean) for folder in (self.start.folder, teacher.folder)
        )
        if not tokenization.same_pieces(mine, theirs):
            raise UserError(
                f"a loss on layers needs the word pieces of teacher {teacher.name}, which are not"
                f" those of {student.name}"
            )
        return compared


def _refuse_what_is_missing(recipe: StudentRecipe, needs: set[str], teachers: Any) -> None:
    """UserError if a loss, a split or the start need a teacher that isn't given, if no loss needs
    the one that is, or if the last phase doesn't train the model's outputs."""
    other = {split for phase in recipe.phases for split in phase.splits} - {"train"}
    distil = f"use {paths.program()} distil --teacher NAME"
    if not teachers and (needs - {"labels"} or recipe.needs_teacher()):
        raise UserError(f"a loss or the embeddings need a teacher: {distil}")
    if not teachers and other:
        raise UserError(f"{min(other)} rows need a teacher: {distil}")
    if teachers and not needs - {"labels"}:
        known = [name for name, loss in losses.LOSSES.items() if loss.needs == "logits"]
        raise UserError(f"no loss uses the teacher: name one of {', '.join(known)}")
    for phase in recipe.phases:
        other = set(phase.splits) - {"train"}
        if other and not losses.needs(phase.losses) - {"labels"}:
            raise UserError(f"a phase over {min(other)} rows needs a loss on the teacher's outputs")
    if not losses.on_outputs(recipe.phases[-1].losses):
        raise UserError(
            "the last phase trains layers alone: give it a loss on labels or logits, such as mse"
        )
