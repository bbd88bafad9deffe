"""Stage 2: fine-tunes an encoder, then records what it says about every row."""

import logging
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from distillery import encoders, files, paths
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation.outputs import TeacherOutputs
from distillery.distillation.signals import Teacher, check_on_dev, find
from distillery.errors import UserError
from distillery.experiments import ending, experiment
from distillery.experiments import phases as training
from distillery.experiments.experiment import Stage
from distillery.kernels import fast_bert, graphs, hardware
from distillery.kernels.hardware import accelerator, lock_of_main
from distillery.models import auto, heads, saved, tokenization
from distillery.models.saved import Model
from distillery.recipes import TeacherRecipe
from distillery.students import BASELINES, STUDENTS
from distillery.text import encode
from distillery.training import inference, loop

_READ = (encoders.WEIGHTS, "config.json", "tokenizer.json")
# Fewer steps do not win back the compilation, which takes up to half a minute: on an H200 it saves
# 2.5 ms of a step of bert-base's shape on 32 texts (`benchmarks/training_gpu.md`).
COMPILE_STEPS = 12_000


def prepare(task: Task, recipe: TeacherRecipe, arguments: Namespace) -> "FineTuned":
    """The teacher that the command line asks for."""
    return FineTuned(task, recipe, arguments.teacher, arguments.variant)


def run(task: Task, recipe: TeacherRecipe, arguments: Namespace) -> None:
    """Fine-tunes an encoder, records its outputs and writes the result."""
    stage = prepare(task, recipe, arguments)
    experiment.run(stage, arguments)
    # once more: rows may have been added since the first seed was recorded
    record(task, stage.teacher, stage.variant)


def run_record(task: Task, arguments: Namespace) -> None:
    """Records a teacher's outputs for the rows that have none yet."""
    name, variant = encoders.short_name(arguments.teacher), arguments.teacher_variant
    outputs = record(task, name, variant)
    then = ending.next_command(task, "teacher", teacher=name, variant=variant)
    ending.done(f"outputs of {name}", f"{len(outputs)} rows", outputs.folder, then)


class FineTuned(Stage):
    """An encoder fine-tuned on a task. spec: short name, hub id or folder."""

    stage = "teacher"
    version = 2
    recipe: TeacherRecipe

    def __init__(
        self, task: Task, recipe: TeacherRecipe, spec: str, variant: str | None = None
    ) -> None:
        self.task, self.recipe, self.variant = task, recipe, variant
        self.teacher: str = encoders.short_name(spec)
        if self.teacher in (*STUDENTS, *BASELINES):
            raise UserError(f"teacher '{self.teacher}' has a student's name: rename its folder")
        self.name = paths.teacher_result(task.name, self.teacher, variant)
        self.folder = self._find(spec)

    def _find(self, spec: str) -> Path:
        """The folder of the encoder."""
        if self.recipe.pretraining == "none":
            folder = encoders.locate(spec)
            if not (folder / encoders.WEIGHTS).is_file():
                raise UserError(f"teacher folder {folder} has no {encoders.WEIGHTS}")
            return folder
        name, task = self.teacher, self.task.name
        folder = paths.pretrained(task, name)
        remedy = f"run {paths.program()} pretrain --task {task} --teacher {spec}"
        if not (folder / encoders.WEIGHTS).is_file():
            raise UserError(f"there is no {name} pretrained on {task} in {folder}: {remedy}")
        files.check_folder(folder, remedy)
        return folder

    def inputs(self) -> dict[str, str]:
        within = f"{self.task.name}/encoders" if self.recipe.pretraining == "task" else "encoders"
        return {
            f"{within}/{self.teacher}/{name}": files.sha256(self.folder / name)
            for name in _READ
            if (self.folder / name).is_file()
        }

    def build(self) -> Model:
        recipe, task = self.recipe, self.task
        tokenizer = tokenization.load(self.folder, store.cleaning(task.name))
        network = _load(self.folder, task, recipe)
        auto.freeze_lower(network, recipe.tuned_layers)
        auto.set_dropout(network, recipe.dropout)
        precision = hardware.precision(recipe.precision)
        model = Model(network, tokenizer, recipe.max_length, recipe.head, precision)
        model.about["floor"] = recipe.min_dev_score
        if recipe.pretraining == "task":
            about = paths.pretraining_facts(task.name, self.teacher)
            model.facts["pretraining"] = files.read_json(about, "run")["run"]
        return model

    def phases(self, model: Model, seed: int) -> Iterable[tuple[nn.Module, loop.Job]]:
        recipe = self.recipe
        if not recipe.epochs:  # a fine-tuned model, taken as it is
            model.network.to(hardware.device())
            rows = len(store.read_split(self.task.name, "train"))
            scores = training.scores_on_dev(model, self.task)
            model.facts |= {"rows": rows, "history": [], "dev": scores}
            return
        for module, job in training.jobs(model, [recipe.phase()], self.task, self.name, seed):
            steps = recipe.epochs * -(-len(job.lengths) // recipe.batch_size)
            if steps >= COMPILE_STEPS and graphs.can_hold(model.network):
                fast_bert.compile_in(model.network)
            yield module, job

    def evaluate(self, model: Model, folder: Path) -> np.ndarray:
        """The recorded outputs of the teacher that is used; of further seeds, fresh ones."""
        if folder != paths.model(self.task.name, self.name):
            return super().evaluate(model, folder)
        outputs = record(self.task, self.teacher, self.variant)
        return outputs.logits(store.read_split(self.task.name, "test").ids)


def _load(folder: Path, task: Task, recipe: TeacherRecipe) -> Any:
    """The encoder of a folder with a classifier for the task's labels."""
    config = auto.read_config(folder)
    tuned = any("SequenceClassification" in name for name in config.architectures or ())
    if tuned:
        task.kind.check_config(config, task.labels, folder)
    elif not recipe.epochs:
        raise UserError(f"{folder} holds no fine-tuned classifier: epochs 0 needs one")
    longest = encoders.longest(config)
    if recipe.max_length > longest:
        raise UserError(f"max_length {recipe.max_length} is impossible: {folder} reads {longest}")
    network = heads.HEADS[task.kind.name].load(folder, task.labels)
    auto.hide_token_types(network)
    return network


def record(task: Task, name: str, variant: str | None = None) -> TeacherOutputs:
    """Records the teacher's outputs for the rows of every split that have none yet; augmented rows
    are among them where there are some of these splits.

    Dev comes first and is checked: labels in their order, no worse than the recipe's minimum.
    """
    teacher, order = find(task, name, variant), ["dev", "train", "unlabeled", "test"]
    if fault := store.augmented_fault(task.name):
        logging.warning("%s", fault)
    elif paths.augmented_manifest(task.name).is_file():
        order.insert(3, paths.AUGMENTED)
    with lock_of_main(f"outputs_{teacher.fingerprint}", f"recording {name} on {task.name}"):
        outputs = teacher.outputs(task)
        splits = {split: store.read_split(task.name, split) for split in order}
        missing = {n: s for n, s in splits.items() if len(s) and not outputs.has(s.ids).all()}
        if missing:
            outputs_of, reader = _recorder(teacher), teacher.reader()
        for split in order:
            if split in missing:
                ids, text = missing[split].ids, reader.encode_split(task.name, missing[split])
                count = outputs.record(ids, text, outputs_of, accelerator().is_main_process)
                accelerator().wait_for_everyone()
                if not accelerator().is_main_process:
                    outputs.open()
                logging.info("recorded %d rows of %s from teacher %s", count, split, name)
            if split == "dev":
                check_on_dev(task, teacher, outputs)
    return outputs


def _recorder(teacher: Teacher) -> Callable[[encode.Encoded, Callable[[int], None]], np.ndarray]:
    """(rows, progress in tokens) -> the teacher's outputs (n, C)."""
    network = saved.load_network(teacher.folder).to(hardware.device()).eval()
    fast_bert.use_in(network)
    precision, what = teacher.facts["precision"], f"recording {teacher.name}"
    return lambda rows, progress: inference.logits(network, rows, precision, what, progress)
