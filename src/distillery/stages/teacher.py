"""Stage 2: fine-tunes an encoder, then records what it says about every row."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import encoders, files, paths
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation import losses
from distillery.distillation import teacher as teachers
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError, reason
from distillery.evaluation import metrics
from distillery.experiments.experiment import (
    Experiment,
    Fitted,
    check_on_dev,
    lock_of_main,
    split_inputs,
)
from distillery.kernels import fast_bert, graphs, hardware
from distillery.kernels.processes import accelerator
from distillery.models import freezing, segments, tensors, tokenization
from distillery.models.saved import load_network
from distillery.recipes import TeacherRecipe
from distillery.students import BASELINES, STUDENTS
from distillery.text import encode
from distillery.text.splits import SplitReader
from distillery.training import inference, loop

VERSION = 2
# A training of fewer steps does not win back its compilation, of up to half a minute: on an H200 it
# saves 2.5 ms of a step of bert-base's shape on 32 texts (`benchmarks/training_gpu.md`).
COMPILE_STEPS = 12_000
_DROPOUTS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout", "dropout"),
    *("attention_dropout", "classifier_dropout", "seq_classif_dropout"),
)


def run(task: Task, spec: str, *what: Any, force: bool, **options: Any) -> None:
    """Fine-tunes an encoder, records, writes the result; the arguments are those of `prepare`."""
    experiment, fit = prepare(task, spec, *what, **options)
    experiment.run(fit, force)
    # again: rows may have come since the first seed, which is not run anew for a further one
    record(task, str(experiment.teacher), experiment.variant)


def prepare(
    task: Task,
    spec: str,
    recipe: TeacherRecipe,
    *,
    seeds: list[int],
    variant: str | None,
    command: str,
    checkpoint_seconds: float,
) -> tuple[Experiment, Callable[[int, Path], Fitted]]:
    """A teacher's experiment, and what trains it. spec: short name, hub id or folder."""
    name = encoders.short_name(spec)
    if name in (*STUDENTS, *BASELINES):
        raise UserError(f"teacher '{name}' has a student's name: rename its folder")
    folder = _start(task, spec, name, recipe)
    read = [folder / file for file in (encoders.WEIGHTS, "config.json", "tokenizer.json")]
    within = f"{task.name}/encoders" if recipe.pretraining == "task" else "encoders"
    sums = {f"{within}/{name}/{path.name}": files.sha256(path) for path in read if path.is_file()}
    experiment = Experiment(
        name=paths.teacher_result(task.name, name, variant),
        stage="teacher",
        task=task,
        recipe=recipe,
        version=VERSION,
        inputs={**split_inputs(task), **sums},
        command=command,
        seeds=seeds,
        teacher=name,
        variant=variant,
        checkpoint_seconds=checkpoint_seconds,
    )

    def fit(seed: int, place: Path) -> Fitted:
        return _fit(experiment, recipe, folder, seed, place)

    return experiment, fit


def _start(task: Task, spec: str, name: str, recipe: TeacherRecipe) -> Path:
    """The folder of the encoder to be fine-tuned."""
    if recipe.pretraining == "none":
        folder = encoders.locate(spec)
        if not (folder / encoders.WEIGHTS).is_file():
            raise UserError(f"teacher folder {folder} has no {encoders.WEIGHTS}")
        return folder
    folder = paths.pretrained(task.name, name)
    remedy = f"run {paths.program()} pretrain --task {task.name} --teacher {spec}"
    if not (folder / encoders.WEIGHTS).is_file():
        raise UserError(f"there is no {name} pretrained on {task.name} in {folder}: {remedy}")
    files.check_folder(folder, remedy)
    return folder


def _fit(
    experiment: Experiment, recipe: TeacherRecipe, folder: Path, seed: int, place: Path
) -> Fitted:
    """Fine-tunes with one seed; dev selects the epoch."""
    task = experiment.task
    tokenizer = tokenization.load(folder, store.cleaning(task.name))
    reader = tokenization.reader(tokenizer, recipe.max_length, recipe.head)
    train, dev = (store.read_split(task.name, name) for name in ("train", "dev"))
    train_text, dev_text = (reader.encode_split(task.name, split) for split in (train, dev))
    model = _load(folder, task, recipe)
    freezing.freeze_lower(model, recipe.tuned_layers)
    fast_bert.use_in(model)
    segments.use_in(model)
    _set_dropout(model, recipe.dropout)
    model.to(hardware.device())
    precision = hardware.precision(recipe.precision)
    steps = recipe.epochs * -(-len(train) // recipe.batch_size)
    if steps >= COMPILE_STEPS:
        _compile(model, train_text, precision)

    def evaluate() -> dict[str, float]:
        found = inference.logits(model, dev_text, precision, "dev")
        return metrics.scores(task.metric, dev.labels, found.argmax(axis=1))

    if recipe.epochs:
        loss = losses.combined(recipe.phase().losses)

        def batch_of(rows: np.ndarray) -> loop.Batch:
            return {
                **tensors.batch(train_text, rows),
                "labels": torch.from_numpy(train.labels[rows]),
            }

        job = loop.Job(
            phase=recipe.phase(),
            lengths=train_text.lengths,
            batch_of=batch_of,
            loss_of=lambda output, batch: loss(output.logits, batch),
            evaluate=evaluate,
            metric=task.metric,
            precision=precision,
            seed=seed,
            title=f"{experiment.name}, seed {seed}",
        )
        facts = loop.train(model, job, place, experiment.checkpoint_seconds)
    else:
        facts = {"epochs": 0, "rows": len(train), "seconds": 0.0, "history": [], "dev": evaluate()}

    def save(target: Path) -> None:
        model.save_pretrained(target)
        tokenization.save_for(model, tokenizer, target, recipe.max_length, recipe.head)
        facts = (task, recipe, precision, train.paired)
        teachers.write_facts(target, *facts, floor=recipe.floor)

    def test_logits(saved: Path) -> np.ndarray:
        """The recorded outputs on test of the saved teacher; of further seeds, fresh ones."""
        test = store.read_split(task.name, "test")
        if saved != paths.model(task.name, experiment.name):
            text = reader.encode_split(task.name, test)
            return inference.logits(model, text, precision, "test")
        outputs = record(task, str(experiment.teacher), experiment.variant)
        return outputs.logits(test.ids)

    if recipe.pretraining == "task":
        about = paths.pretraining_facts(task.name, str(experiment.teacher))
        facts["pretraining"] = files.read_json(about, "run")["run"]
    return Fitted(save, test_logits, facts, model.num_parameters(), precision)


def _load(folder: Path, task: Task, recipe: TeacherRecipe) -> Any:
    """The encoder of a folder with a classifier for the task's labels."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a loader's many errors all mean: no model
        raise UserError(f"{folder} holds no model ({reason(error)})") from None
    tuned = any("SequenceClassification" in name for name in config.architectures or ())
    if tuned:
        teachers.check_labels(config, task, folder)
    elif not recipe.epochs:
        raise UserError(f"{folder} holds no fine-tuned classifier: epochs 0 needs one")
    longest = encoders.longest(config)
    if recipe.max_length > longest:
        raise UserError(f"max_length {recipe.max_length} is impossible: {folder} reads {longest}")
    names = dict(enumerate(task.labels))
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            folder,
            id2label=names,
            label2id={label: index for index, label in names.items()},
            use_safetensors=True,
            dtype="float32",
            trust_remote_code=False,
        )
    except Exception as error:  # a loader's many errors all mean: not a whole model
        raise UserError(f"{folder} holds no whole model ({reason(error)})") from None


def _set_dropout(model: Any, dropout: float) -> None:
    """Sets every dropout of the model, and of its configuration."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    for name in _DROPOUTS:
        if isinstance(getattr(model.config, name, None), float):
            setattr(model.config, name, dropout)


def _compile(model: Any, text: encode.Encoded, precision: str) -> None:
    """Compiles the layers of a BERT where that makes a step on the longest texts faster by over
    5 percent, as measured."""
    if not graphs.can_hold(model):
        return
    rows = np.argsort(-text.lengths, kind="stable")[:8]
    probe = {n: t.to(hardware.device()) for n, t in tensors.batch(text, rows).items()}

    def timed(on: bool) -> Callable[[], None]:
        step = hardware.step_of(model, probe, precision)

        def run_step() -> None:
            fast_bert.compile_in(model, on)
            step()

        return run_step

    model.train()
    choices = {"as written": timed(False), "compiled": timed(True)}
    shape = f"{model.config.model_type} {model.num_parameters()} parameters"
    choice = hardware.fastest(f"compilation of {shape}", choices, margin=1.05)
    fast_bert.compile_in(model, choice == "compiled")


def record(task: Task, name: str, variant: str | None = None) -> TeacherOutputs:
    """Records the teacher's outputs for the rows of every split that have none yet.

    Dev comes first and is checked: labels in their order, accuracy above the teacher's floor.
    """
    found = teachers.find(task, name, variant)
    with lock_of_main(f"outputs_{found.fingerprint}", f"recording {name} on {task.name}"):
        outputs = TeacherOutputs(task.name, found.fingerprint, name)
        splits = {split: store.read_split(task.name, split) for split in _recorded(task)}
        missing = {n: s for n, s in splits.items() if len(s) and not outputs.has(s.ids).all()}
        if missing:
            logits_of, reader = _recorder(found)
        for split in ("dev", "train", "unlabeled", paths.AUGMENTED, "test"):
            if split in missing:
                ids, text = missing[split].ids, reader.encode_split(task.name, missing[split])
                count = outputs.record(ids, text, logits_of, accelerator().is_main_process)
                accelerator().wait_for_everyone()
                if not accelerator().is_main_process:
                    outputs.reopen()
                logging.info("recorded %d rows of %s from teacher %s", count, split, name)
            if split == "dev":
                check_on_dev(task, found, outputs)
    return outputs


def _recorded(task: Task) -> tuple[str, ...]:
    """The splits to record: augmented rows too, where there are some of these splits."""
    fault = store.augmented_fault(task.name)
    if fault:
        logging.warning("%s", fault)
    if fault or not paths.augmented_manifest(task.name).is_file():
        return paths.SPLITS
    return (*paths.SPLITS, paths.AUGMENTED)


def _recorder(
    found: teachers.Teacher,
) -> tuple[Callable[[encode.Encoded, Callable[[int], None]], np.ndarray], SplitReader]:
    """(rows, progress) -> the teacher's logits (n, labels); and how it reads texts."""
    model = load_network(found.folder).to(hardware.device()).eval()
    fast_bert.use_in(model)
    precision = found.facts["precision"]

    def logits_of(rows: encode.Encoded, progress: Callable[[int], None]) -> np.ndarray:
        return inference.logits(model, rows, precision, f"recording {found.name}", progress)

    return logits_of, found.reader()
