"""Stage 5: a saved model pruned and distilled again, quantized, or exported to ONNX."""

import logging
import tempfile
import time
from abc import abstractmethod
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from distillery import encoders, files, paths, progress, recipes, results
from distillery.compression import export as exporting
from distillery.compression import prune as pruning
from distillery.compression import quantize as quantizing
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation.losses import Losses
from distillery.distillation.outputs import TeacherOutputs
from distillery.distillation.signals import Taught, find
from distillery.errors import UserError
from distillery.experiments import phases as training
from distillery.experiments.experiment import Stage, run
from distillery.kernels import hardware
from distillery.models import saved
from distillery.models.saved import Model
from distillery.recipes import PruningRecipe, QuantizationRecipe, Recipe
from distillery.runtime.predictor import INPUTS, OnnxPredictor
from distillery.students import STUDENTS
from distillery.text import encode
from distillery.training import inference, loop


class Compressed(Stage):
    """What one step of stage 5 (of `paths.STEPS`) makes of the model of a result.

    UserError if that model is missing, changed, or exported already.
    """

    stage = "compression"
    version = 1
    step: ClassVar[str]

    def __init__(self, task: Task, recipe: Recipe, model: str, variant: str | None = None) -> None:
        self.task, self.recipe = task, recipe
        self.name = paths.compressed(model, self.step, variant)
        path = results.json_path(paths.results(task.local), model)
        if not path.is_file():
            known = ", ".join(sorted(results.read_all(path.parent))) or "none yet"
            raise UserError(
                f"unknown model '{model}': results of these are in {path.parent}: {known}"
            )
        self.result, self.folder = results.read(path), paths.model(task.name, model)
        if self.result.task != task.name or self.result.stage == "baseline":
            raise UserError(f"'{model}' is no model of task {task.name}")
        if (self.folder / encoders.ONNX).is_file():
            raise UserError(f"'{model}' is exported already: name the model that it was made of")
        results.check_saved(self.result)
        self.student, self.layers = self.result.student, self.result.layers
        self.teacher = self.result.teacher
        self.variant = " ".join(filter(None, (self.result.variant, self.step, variant)))
        first = self.result.runs[0]
        size = self.result.bytes
        assert size is not None, "it has a model"
        self.source = {"name": model, "metrics": first["metrics"], "bytes": size}
        self.seeds = [first["seed"]]

    def inputs(self) -> dict[str, str]:
        read = [saved.weights(self.folder), self.folder / "tokenizer.json"]
        found = {path.relative_to(paths.data()).as_posix(): files.sha256(path) for path in read}
        outputs = f"{self.task.name}/outputs"  # a pruned model can be pruned again
        if outputs in self.result.inputs:
            found[outputs] = self.result.inputs[outputs]
        return found

    def build(self) -> Model:
        return saved.load(self.folder)

    def _text(self, model: Model, split: str) -> encode.Encoded:
        return model.reader().encode_split(self.task.name, store.read_split(self.task.name, split))


class Converted(Compressed):
    """A model written as ONNX."""

    precision: ClassVar[str]

    @abstractmethod
    def write(self, model: Model, dev: encode.Encoded, path: Path) -> dict[str, Any]:
        """Writes the file; gives facts of the run. dev: texts to check or calibrate it on."""

    def build(self) -> Model:
        return replace(super().build(), precision=self.precision)

    def save(self, model: Model, folder: Path) -> None:
        started = time.monotonic()
        model.facts |= self.write(model, self._text(model, "dev"), folder / encoders.ONNX)
        model.facts["seconds"] = round(time.monotonic() - started, 2)
        saved.save(model, folder, self.task, converted=True)

    def evaluate(self, model: Model, folder: Path) -> np.ndarray:
        """As `predict` answers."""
        text = self._text(model, "test")
        about = {"desc": "test", "unit": " tokens", "unit_scale": True}
        with progress.bar(total=int(text.lengths.sum()), **about) as bar:
            return OnnxPredictor(folder).outputs(text, bar.update)


class Exported(Converted):
    """A model in ONNX and fp32, checked against PyTorch."""

    step = "onnx"
    precision = "fp32"

    def write(self, model: Model, dev: encode.Encoded, path: Path) -> dict[str, Any]:
        difference = exporting.write(model.network, dev, model.max_length, path)
        return {"opset": exporting.OPSET, "difference": difference}


class Quantized(Converted):
    """A model in ONNX with weights of 8 bits, its embeddings with 8 or 4."""

    step = precision = "int8"
    recipe: QuantizationRecipe

    def write(self, model: Model, dev: encode.Encoded, path: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as place:
            whole = Path(place) / encoders.ONNX
            exporting.write(model.network, dev, model.max_length, whole)
            quantizing.write(whole, path, self.recipe, _calibration(dev, self.recipe))
        return {"opset": exporting.OPSET}


def _calibration(
    dev: encode.Encoded, recipe: QuantizationRecipe
) -> Iterator[dict[str, np.ndarray]]:
    # dev has the order of its source, in which the labels may stand one after the other
    for row in np.random.default_rng(0).permutation(len(dev))[: recipe.calibration_rows]:
        yield dev.batch(np.array([row]))


class Pruned(Compressed):
    """A model without its least important units and word pieces, distilled again from the outputs
    that it was distilled from; a teacher from its own."""

    step = "pruned"
    recipe: PruningRecipe

    def __init__(
        self, task: Task, recipe: PruningRecipe, model: str, variant: str | None = None
    ) -> None:
        super().__init__(task, recipe, model, variant)
        self.outputs = self._recorded()
        for phase in recipe.phases:
            Losses(phase.losses, task.kind.name)  # refuses those that need a live teacher

    def _recorded(self) -> tuple[TeacherOutputs, ...]:
        if self.teacher is None:
            raise UserError(f"'{self.result.name}' has no teacher to be distilled from again")
        prints = self.result.inputs.get(f"{self.task.name}/outputs")
        if prints is None:
            prints = find(self.task, self.teacher, self.result.variant).fingerprint
        name = self.task.name
        return tuple(TeacherOutputs(name, print_, self.teacher) for print_ in prints.split(","))

    def inputs(self) -> dict[str, str]:
        prints = ",".join(outputs.fingerprint for outputs in self.outputs)
        return {**super().inputs(), f"{self.task.name}/outputs": prints}

    def build(self) -> Model:
        model = super().build()
        pruning.groups_of(model.network)  # refuses a model without units
        model.precision = hardware.precision(self.recipe.precision)
        if self.recipe.sparsity:
            model.network = self._without_units(model)
        if self.recipe.pieces:
            model.tokenizer = self._without_pieces(model)
        logging.info("%s: %d parameters", self.name, model.network.num_parameters())
        return model

    def phases(self, model: Model, seed: int) -> Iterable[tuple[nn.Module, loop.Job]]:
        taught = Taught((), self.outputs)
        return training.jobs(model, self.recipe.phases, self.task, self.name, seed, taught)

    def _without_units(self, model: Model) -> Any:
        """The network without the units that the first phase's loss misses least."""
        train, text = store.read_split(self.task.name, "train"), self._text(model, "train")
        rows = np.random.default_rng(0).permutation(len(train))[: self.recipe.rows]
        loss = Losses(self.recipe.phases[0].losses, self.task.kind.name)
        signal = Taught((), self.outputs).signal(loss.needs)
        network = model.network.to(hardware.device())

        def of_row(number: int) -> Callable[[Any], torch.Tensor]:
            row = np.array([number])
            batch = {
                **inference.tensors(text, row),
                **signal.read(train.ids[row]),
                "labels": torch.from_numpy(train.labels[row]),
            }
            batch = {name: tensor.to(hardware.device()) for name, tensor in batch.items()}
            inputs = {name: batch[name] for name in INPUTS}
            return lambda network: loss(network(**inputs), signal.give(batch), batch)

        groups = pruning.groups_of(network)
        scores = pruning.importance(network, map(of_row, rows), groups)
        return pruning.pruned(network, scores, groups, self.recipe.sparsity)

    def _without_pieces(self, model: Model) -> Any:
        """The tokenizer with a smaller vocabulary; the network's embeddings are cut likewise."""
        counts = np.zeros(len(model.tokenizer), np.int64)
        for split in training.rows_of(self.task, ("train", "unlabeled")):
            text = model.reader().encode_split(self.task.name, split)
            counts += np.bincount(text.pieces[:], minlength=len(counts))
        kept = pruning.commonest(model.tokenizer, counts, self.recipe.pieces)
        smaller = pruning.cut_tokenizer(model.tokenizer, kept)
        pruning.cut_embeddings(model.network, kept, smaller.pad_token_id)
        return smaller


def export(task: Task, arguments: Namespace) -> None:
    """Exports a model to ONNX, checked against PyTorch."""
    run(Exported(task, Recipe(), arguments.model), arguments)


def quantize(task: Task, recipe: QuantizationRecipe, arguments: Namespace) -> None:
    """Quantizes a model."""
    run(Quantized(task, recipe, arguments.model, arguments.variant), arguments)


def prune(task: Task, recipe: PruningRecipe, arguments: Namespace) -> None:
    """Prunes a model and distils it again."""
    run(Pruned(task, recipe, arguments.model, arguments.variant), arguments)


def run_chain(task: Task, arguments: Namespace) -> None:
    """Exports and quantizes a distilled student. If the task's plan prunes and the student has
    units to prune, it is then pruned, distilled again, exported and quantized.

    Students whose matmuls can take it are quantized by static ranges too.
    """
    student, teacher = arguments.student, "-".join(encoders.short_names(arguments.teacher))
    variants = arguments.teacher_variant, arguments.student_variant
    row, recipe = STUDENTS[student], recipes.quantization(task.name)

    def step(stage: Compressed, command: str, more: str = "") -> None:
        names = {"task": task.name, "model": stage.result.name}
        typed = paths.command(command, names) + more
        run(stage, Namespace(**{**vars(arguments), "command_line": typed}))

    def convert(model: str) -> None:
        step(Exported(task, Recipe(), model), "export")
        step(Quantized(task, recipe, model), "quantize")
        if row.static and recipe.method != "static":
            static = Quantized(task, replace(recipe, method="static"), model, "static")
            step(static, "quantize", " --method static --variant static")

    name = paths.distillation_result(task.name, student, teacher, *variants)
    convert(name)
    if not recipes.plan(task.name).prunes:
        return
    if not row.prunes:
        logging.info("%s has no units to prune", name)
        return
    pruned = Pruned(task, recipes.pruning(task.name, student, teacher), name)
    step(pruned, "prune")
    convert(pruned.name)
