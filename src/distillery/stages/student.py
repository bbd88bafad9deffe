"""Stages 3 and 4: a student, trained on labels alone or on a teacher's recorded outputs."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import encoders, files, paths
from distillery.distillation import embeddings, losses
from distillery.distillation import teacher as teachers
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError
from distillery.evaluation import metrics
from distillery.models import registry
from distillery.preprocessing import store
from distillery.preprocessing.task import Task
from distillery.recipes import Phase, SequenceRecipe, StudentRecipe
from distillery.recipes.names import STUDENTS
from distillery.stages.experiment import Experiment, Fitted, check_on_dev, split_inputs
from distillery.text import encode, vectors, vocabulary
from distillery.training import inference, loop, machine

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
    inputs = split_inputs(task, {split for phase in recipe.phases for split in phase.splits})
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
        folder = encoders.locate(recipe.tokenizer)
        if not (folder / "tokenizer.json").is_file():
            raise UserError(f"tokenizer '{recipe.tokenizer}': {folder} has no tokenizer.json")
        inputs[f"encoders/{recipe.tokenizer}/tokenizer.json"] = files.sha256(
            folder / "tokenizer.json"
        )
        name = paths.student_result(task.name, student, variant)
    if isinstance(recipe, SequenceRecipe) and recipe.vectors:
        file = paths.vectors(recipe.vectors)
        if not file.is_file():
            raise UserError(f"there are no word vectors in {file}: put the file there")
        inputs[f"vectors/{recipe.vectors}"] = files.sha256(file)
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
        layers=STUDENTS[student][1],
        teacher=teacher,
        variant=variant,
        checkpoint_seconds=checkpoint_seconds,
    )

    def start(seed: int, place: Path) -> Fitted:
        model, tokenizer = _new(experiment, recipe, source)
        return fit(experiment, recipe, model, tokenizer, outputs, seed, place)

    return experiment, start


def _refuse_what_is_missing(recipe: StudentRecipe, needed: set[str], teacher: str | None) -> None:
    """UserError where a loss or the embeddings ask for a teacher that there is not, or no loss
    asks for the one that there is."""
    if teacher is None and ("logits" in needed or recipe.needs_teacher()):
        raise UserError(
            "a loss or the embeddings need a teacher: use distillery distil --teacher NAME"
        )
    unlabelled = {split for phase in recipe.phases for split in phase.splits} - {"train"}
    if teacher is None and unlabelled:
        raise UserError(
            f"{min(unlabelled)} rows need a teacher: use distillery distil --teacher NAME"
        )
    if teacher is not None and "logits" not in needed:
        raise UserError("no loss uses the teacher: name one of mse, kl, teacher_labels")
    for phase in recipe.phases:
        unlabelled = set(phase.splits) - {"train"}
        if unlabelled and "logits" not in losses.needs(phase.losses):
            raise UserError(
                f"a phase over {min(unlabelled)} rows needs a loss on the teacher's outputs"
            )


def _new(
    experiment: Experiment, recipe: StudentRecipe, source: teachers.Teacher | None
) -> tuple[Any, Any]:
    """The untrained student and its tokenizer."""
    task = experiment.task
    folder = source.folder if source else encoders.locate(recipe.tokenizer)
    tokenizer = _tokenizer(task, recipe, folder)
    model = registry.create(
        str(experiment.student),
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        pairs=store.read_split(task.name, "dev").paired,
        **recipe.shape(),
        id2label=dict(enumerate(task.labels)),
        label2id={label: index for index, label in enumerate(task.labels)},
    )
    if isinstance(recipe, SequenceRecipe):
        _start_embeddings(model, recipe, tokenizer, source)
    return model, tokenizer


def fit(
    experiment: Experiment,
    recipe: StudentRecipe,
    model: Any,
    tokenizer: Any,
    outputs: TeacherOutputs | None,
    seed: int,
    place: Path,
) -> Fitted:
    """Trains a model with one seed through the recipe's phases; dev selects the epoch of each."""
    task = experiment.task
    reader = encode.Reader(tokenizer, recipe.max_length, recipe.head)
    dev = store.read_split(task.name, "dev")
    dev_text = reader.encode_split(task.name, dev)
    rows = np.argsort(-dev_text.lengths, kind="stable")[: min(32, len(dev))]
    probe = {name: t.to(machine.device()) for name, t in dev_text.batch(rows).items()}
    model.to(machine.device())
    shape = f"{experiment.student} {model.num_parameters()} parameters"
    precision = machine.precision_for(shape, recipe.precision, model, probe)

    def evaluate() -> dict[str, float]:
        found = inference.logits(model, dev_text, precision, "dev")
        return metrics.scores(task.metric, dev.labels, found.argmax(axis=1))

    phases = []
    for number, phase in enumerate(recipe.phases, start=1):
        text, labels, ids = _rows_of(task, phase, reader)
        with_teacher = "logits" in losses.needs(phase.losses)
        if outputs and with_teacher and not outputs.has(ids).all():
            outputs.logits(ids)  # refuses, and says how many rows are missing
        job = loop.Job(
            phase=phase,
            lengths=text.lengths,
            batch_of=_batch_of(text, labels, ids, outputs if with_teacher else None),
            loss_of=_loss_of(phase),
            evaluate=evaluate,
            metric=task.metric,
            precision=precision,
            seed=seed,
            title=f"{experiment.name}, seed {seed}"
            + (f", phase {number}" if len(recipe.phases) > 1 else ""),
        )
        phases.append(
            loop.train(model, job, place / f"phase{number}", experiment.checkpoint_seconds)
        )

    def save(target: Path) -> None:
        model.save_pretrained(target)
        encode.save_tokenizer(tokenizer, target)
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


def _tokenizer(task: Task, recipe: StudentRecipe, folder: Path) -> Any:
    """The word pieces of an encoder's folder, or the words of the task's own texts."""
    if recipe.vocabulary == "pieces":
        return encode.load_tokenizer(folder)
    splits = [store.read_split(task.name, name) for name in ("train", "unlabeled")]
    return vocabulary.word_tokenizer([split for split in splits if len(split)], recipe.words)


def _start_embeddings(
    model: Any, recipe: SequenceRecipe, tokenizer: Any, source: teachers.Teacher | None
) -> None:
    weight = model.encoder.word_embeddings.weight
    if recipe.embeddings == "teacher" and source:
        matrix = embeddings.teacher_embeddings(source.folder)
        with torch.no_grad():
            weight.copy_(embeddings.principal(matrix, recipe.embedding_size)[: len(weight)])
            weight[tokenizer.pad_token_id] = 0
    elif recipe.embeddings == "vectors":
        found = vectors.read(paths.vectors(recipe.vectors), tokenizer.get_vocab())
        logging.info("%d of %d embeddings start from %s", len(found), len(weight), recipe.vectors)
        embeddings.from_vectors(weight, found)


def _loss_of(phase: Phase) -> Callable[[Any, loop.Batch], torch.Tensor]:
    """(model output, batch) -> the phase's loss."""
    total = losses.combined(phase.losses)
    return lambda output, batch: total(output.logits, batch)


def _rows_of(
    task: Task, phase: Phase, reader: encode.Reader
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
        batch = {**text.batch(rows), "labels": torch.from_numpy(labels[rows])}
        if outputs:
            batch["teacher_logits"] = torch.from_numpy(outputs.logits(ids[rows]))
        return batch

    return batch_of
