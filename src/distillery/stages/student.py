"""Stages 3 and 4: a student, trained on labels alone or on what a teacher says.

Of a teacher the recorded outputs are read; it runs live in phases that compare layers alone.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import paths
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation import layers, learner, losses
from distillery.distillation import start as starts
from distillery.distillation import teacher as teachers
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError
from distillery.evaluation import metrics
from distillery.experiments.experiment import Experiment, Fitted, check_on_dev, split_inputs
from distillery.kernels import fast_bert, hardware
from distillery.models import tensors, tokenization
from distillery.recipes import Phase, StudentRecipe
from distillery.students import STUDENTS
from distillery.text import batches, encode
from distillery.text.splits import SplitReader
from distillery.training import inference, loop

VERSION = 2


def run(*what: Any, force: bool, **options: Any) -> None:
    """Trains a student and writes its result; the arguments are those of `prepare`."""
    experiment, fit = prepare(*what, **options)
    experiment.run(fit, force)


def prepare(
    task: Task,
    student: str,
    teacher: str | None,
    recipe: StudentRecipe,
    *,
    teacher_variant: str | None = None,
    seeds: list[int],
    variant: str | None,
    command: str,
    checkpoint_seconds: float,
) -> tuple[Experiment, Callable[[int, Path], Fitted]]:
    """A student's experiment, and what trains it; with a teacher this is distillation.

    teacher_variant: the teacher was made with this variant.
    """
    needed = set().union(*(losses.needs(phase.losses) for phase in recipe.phases))
    _refuse_what_is_missing(recipe, needed, teacher)
    inputs = split_inputs(task, recipe)
    source, outputs = None, None
    if teacher:
        source = teachers.find(task, teacher, teacher_variant)
        inputs[source.weights.relative_to(paths.data()).as_posix()] = source.weights_sha256
        inputs[f"{task.name}/outputs"] = source.fingerprint
        outputs = TeacherOutputs(task.name, source.fingerprint, source.name)
        check_on_dev(task, source, outputs)
        name = paths.distillation_result(task.name, student, teacher, teacher_variant, variant)
        if teacher_variant:  # as the table shows it
            variant = " ".join(filter(None, (f"teacher.{teacher_variant}", variant)))
    else:
        name = paths.student_result(task.name, student, variant)
    chosen = starts.choose(student, recipe, source)
    inputs |= chosen.inputs
    compared = _compared(task, chosen, recipe, source) if needed & set(layers.EVERYTHING) else None
    taught = Taught(source, outputs, compared)
    experiment = Experiment(
        name=name,
        stage="distillation" if teacher else "student",
        task=task,
        recipe=recipe,
        version=VERSION,
        inputs=inputs,
        command=command,
        seeds=seeds,
        student=student,
        layers=STUDENTS[student].layers,
        teacher=teacher,
        variant=variant,
        checkpoint_seconds=checkpoint_seconds,
    )

    def start(seed: int, place: Path) -> Fitted:
        tokenizer = chosen.tokenizer(task, recipe)
        model, said = chosen.build(task, recipe, tokenizer)
        if said:
            logging.info("%s starts from: %s", experiment.name, said)
        found = fit(experiment, recipe, model, tokenizer, taught, seed, place)
        return replace(found, facts={**found.facts, "start": said}) if said else found

    return experiment, start


def _refuse_what_is_missing(recipe: StudentRecipe, needed: set[str], teacher: str | None) -> None:
    """UserError where a loss or the start ask for a teacher that there is not, or no loss asks for
    the one that there is, or none trains the classifier at the end."""
    if teacher is None and (needed - {"labels"} or recipe.needs_teacher()):
        raise UserError(
            f"a loss or the embeddings need a teacher: use {paths.program()} distil --teacher NAME"
        )
    unlabelled = {split for phase in recipe.phases for split in phase.splits} - {"train"}
    if teacher is None and unlabelled:
        raise UserError(
            f"{min(unlabelled)} rows need a teacher: use {paths.program()} distil --teacher NAME"
        )
    if teacher is not None and not needed - {"labels"}:
        raise UserError("no loss uses the teacher: name one of mse, kl, teacher_labels")
    for phase in recipe.phases:
        unlabelled = set(phase.splits) - {"train"}
        if unlabelled and not losses.needs(phase.losses) - {"labels"}:
            raise UserError(
                f"a phase over {min(unlabelled)} rows needs a loss on the teacher's outputs"
            )
    if not losses.on_logits(recipe.phases[-1].losses):
        raise UserError(
            "the last phase trains layers alone: give it a loss on labels or logits, such as mse"
        )


def _compared(
    task: Task, start: starts.Start, recipe: StudentRecipe, teacher: teachers.Teacher | None
) -> tuple[layers.Source, layers.Source]:
    """What student and teacher give, for losses on layers; UserError where these cannot be had."""
    assert teacher, "losses on layers are refused where there is no teacher"
    student = layers.of_student(start.student, recipe)
    compared = student, layers.of_teacher(teacher.name, teacher.folder)
    for phase in recipe.phases:
        if losses.on_layers(phase.losses):
            losses.LiveLosses(phase.losses, *compared)
    if recipe.max_length > compared[1].longest:
        raise UserError(
            f"max_length {recipe.max_length} is impossible: teacher {teacher.name} reads"
            f" {compared[1].longest} word pieces"
        )
    folders, clean = (start.folder, teacher.folder), store.cleaning(task.name)
    mine, theirs = (tokenization.load(folder, clean) for folder in folders)
    if recipe.vocabulary != "pieces" or not tokenization.same_pieces(mine, theirs):
        raise UserError(
            f"a loss on layers needs the word pieces of teacher {teacher.name}, which are not those"
            f" of {student.name}"
        )
    return compared


@dataclass(frozen=True)
class Taught:
    """What a student learns from beside labels: recorded outputs and, where a loss compares layers,
    the teacher itself.

    compared: what student and teacher give.
    """

    teacher: teachers.Teacher | None
    outputs: TeacherOutputs | None
    compared: tuple[layers.Source, layers.Source] | None = None


def fit(
    experiment: Experiment,
    recipe: StudentRecipe,
    model: Any,
    tokenizer: Any,
    taught: Taught,
    seed: int,
    place: Path,
) -> Fitted:
    """Trains a model with one seed through the recipe's phases; dev selects the epoch of each."""
    task = experiment.task
    reader = tokenization.reader(tokenizer, recipe.max_length, recipe.head)
    fast_bert.use_in(model)
    dev = store.read_split(task.name, "dev")
    dev_text = reader.encode_split(task.name, dev)
    model.to(hardware.device())
    precision = hardware.precision(recipe.precision)

    def evaluate() -> dict[str, float]:
        found = inference.logits(model, dev_text, precision, "dev")
        return metrics.scores(task.metric, dev.labels, found.argmax(axis=1))

    phases = []
    for number, phase in enumerate(recipe.phases, start=1):
        text, labels, ids = _rows_of(task, phase, reader)
        outputs = taught.outputs if "logits" in losses.needs(phase.losses) else None
        if outputs is not None and not outputs.has(ids).all():
            outputs.logits(ids)  # refuses, and says how many rows are missing
        module, loss_of = _learner(model, phase, taught)
        job = loop.Job(
            phase=phase,
            lengths=text.lengths,
            batch_of=_batch_of(text, labels, ids, outputs),
            loss_of=loss_of,
            evaluate=evaluate,
            metric=task.metric,
            precision=precision,
            seed=seed,
            title=f"{experiment.name}, seed {seed}"
            + (f", phase {number}" if len(recipe.phases) > 1 else ""),
        )
        if not losses.on_logits(phase.losses):
            judge = partial(_loss_on, dev_text, module, loss_of, precision)
            job = replace(job, evaluate=judge, metric=loop.LOSS)
        phases.append(
            loop.train(module, job, place / f"phase{number}", experiment.checkpoint_seconds)
        )

    def save(target: Path) -> None:
        model.save_pretrained(target)
        tokenization.save_for(model, tokenizer, target, recipe.max_length, recipe.head)
        teachers.write_facts(target, task, recipe, precision, dev.paired)

    def test_logits(saved: Path) -> np.ndarray:
        test = store.read_split(task.name, "test")
        return inference.logits(model, reader.encode_split(task.name, test), precision, "test")

    facts: dict[str, Any] = {
        **phases[-1],
        "epochs": sum(phase["epochs"] for phase in phases),
        "seconds": round(sum(phase["seconds"] for phase in phases), 2),
    }
    return Fitted(save, test_logits, facts, model.num_parameters(), precision)


def _learner(model: Any, phase: Phase, taught: Taught) -> tuple[torch.nn.Module, learner.LossOf]:
    """What a phase trains, and its loss."""
    if not losses.on_layers(phase.losses):
        return learner.on_outputs(model, phase.losses)
    assert taught.teacher and taught.compared
    return learner.on_layers(model, phase.losses, taught.compared, taught.teacher)


def _loss_on(
    text: encode.Encoded, module: torch.nn.Module, loss_of: learner.LossOf, precision: str
) -> dict[str, float]:
    """The mean loss over all rows."""
    module.eval()
    total = 0.0
    with torch.inference_mode():
        for rows in batches.inference(text.lengths, inference.tokens_per_batch()):
            batch = {name: t.to(hardware.device()) for name, t in tensors.batch(text, rows).items()}
            with hardware.autocast(precision):
                output = module(**batch)
            total += len(rows) * float(loss_of(output, batch))
    module.train()
    return {loop.LOSS: total / len(text)}


def _rows_of(
    task: Task, phase: Phase, reader: SplitReader
) -> tuple[encode.Encoded, np.ndarray, np.ndarray]:
    """Word pieces, labels (N,) and ids (N,) of the rows a phase trains on."""
    splits = [store.read_split(task.name, name) for name in phase.splits]
    if not any(len(split) for split in splits):
        raise UserError(f"task {task.name} has no rows in {', '.join(phase.splits)}")
    texts = [reader.encode_split(task.name, split) for split in splits if len(split)]
    return (
        encode.joined(texts),
        np.concatenate([split.labels for split in splits]),
        np.concatenate([split.ids for split in splits]),
    )


def _batch_of(
    text: encode.Encoded, labels: np.ndarray, ids: np.ndarray, outputs: TeacherOutputs | None
) -> Callable[[np.ndarray], loop.Batch]:
    """Row numbers -> inputs, labels and, from a teacher, its logits (B, labels)."""

    def batch_of(rows: np.ndarray) -> loop.Batch:
        batch = {**tensors.batch(text, rows), "labels": torch.from_numpy(labels[rows])}
        if outputs is not None:
            batch["teacher_logits"] = torch.from_numpy(outputs.logits(ids[rows]))
        return batch

    return batch_of
