"""Stage 5: a saved model pruned and distilled again, quantized, or exported to ONNX."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import encoders, files, paths, progress, recipes, results
from distillery.compression import export as exporting
from distillery.compression import prune as pruning
from distillery.compression import quantize as quantizing
from distillery.compression import units, vocabulary
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation import losses
from distillery.distillation import teacher as teachers
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError
from distillery.experiments.experiment import Experiment, Fitted, split_inputs, weights_of
from distillery.kernels import hardware
from distillery.models import tensors, tokenization
from distillery.models.saved import load_network
from distillery.recipes import PruningRecipe, QuantizationRecipe, Recipe, StudentRecipe
from distillery.runtime.classifier import OnnxClassifier
from distillery.runtime.facts import read_facts
from distillery.runtime.session import INPUTS
from distillery.stages import student
from distillery.students import STUDENTS
from distillery.text import encode
from distillery.text.splits import SplitReader

VERSION = 1


@dataclass(frozen=True)
class Source:
    """A saved model, as its result and its facts describe it."""

    task: Task
    result: dict[str, Any]
    folder: Path
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.result["name"])

    def tokenizer(self) -> Any:
        return tokenization.load(self.folder)

    def reader(self) -> SplitReader:
        return tokenization.reader(self.tokenizer(), self.facts["max_length"], self.facts["head"])

    def dev(self) -> encode.Encoded:
        return self.reader().encode_split(self.task.name, store.read_split(self.task.name, "dev"))


def find(task: Task, name: str) -> Source:
    """The model of a result. UserError where it is not there, changed, or no PyTorch model."""
    for part in name.split("."):
        paths.checked_name("model", part)
    path = results.json_path(paths.results(task.local), name)
    if not path.is_file():
        known = ", ".join(sorted(results.read_all(path.parent))) or "none yet"
        raise UserError(f"unknown model '{name}': results of these are in {path.parent}: {known}")
    result, folder = results.read(path), paths.model(task.name, name)
    if result["task"] != task.name or result["stage"] == "baseline":
        raise UserError(f"'{name}' is no model of task {task.name}")
    facts = read_facts(folder)
    if (folder / encoders.ONNX).is_file():
        raise UserError(f"'{name}' is exported already: name the model that it was made of")
    results.check_saved(result)
    return Source(task, result, folder, facts)


def _experiment(
    source: Source, step: str, variant: str | None, recipe: Recipe, command: str, **more: Any
) -> Experiment:
    """The experiment of a step: what it is called, and everything its result depends on."""
    result = source.result
    read = [weights_of(source.folder), source.folder / "tokenizer.json"]
    sums = {path.relative_to(paths.data()).as_posix(): files.sha256(path) for path in read}
    outputs = f"{source.task.name}/outputs"  # a pruned model can be pruned again
    if outputs in result["inputs"]:
        sums[outputs] = result["inputs"][outputs]
    return Experiment(
        name=paths.compressed(source.name, step, variant),
        stage="compression",
        task=source.task,
        recipe=recipe,
        version=VERSION,
        inputs={**split_inputs(source.task, recipe), **sums, **more.pop("inputs", {})},
        command=command,
        seeds=[result["runs"][0]["seed"]],
        student=result["student"],
        layers=result["layers"],
        teacher=result["teacher"],
        variant=" ".join(filter(None, (result["variant"], step, variant))),
        source={
            "name": source.name,
            "metrics": result["runs"][0]["metrics"],
            "bytes": result["bytes"],
        },
        **more,
    )


def export(task: Task, name: str, *, command: str, force: bool) -> None:
    """Exports a model to ONNX in fp32, checked against PyTorch."""
    source = find(task, name)
    experiment = _experiment(source, "onnx", None, Recipe(), command)

    def write(model: Any, target: Path) -> dict[str, Any]:
        difference = exporting.write(model, source.dev(), source.facts["max_length"], target)
        return {"opset": exporting.OPSET, "difference": difference}

    experiment.run(lambda seed, place: _converted(source, "fp32", write), force)


def quantize(
    task: Task,
    name: str,
    recipe: QuantizationRecipe,
    *,
    variant: str | None,
    command: str,
    force: bool,
) -> None:
    """Exports a model to ONNX with weights of 8 bits, its embeddings with 8 or 4."""
    source = find(task, name)
    experiment = _experiment(source, "int8", variant, recipe, command)

    def write(model: Any, target: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as place:
            whole = Path(place) / encoders.ONNX
            exporting.write(model, source.dev(), source.facts["max_length"], whole)
            quantizing.write(whole, target, recipe, _calibration(source, recipe))
        return {"opset": exporting.OPSET}

    experiment.run(lambda seed, place: _converted(source, "int8", write), force)


def _calibration(source: Source, recipe: QuantizationRecipe) -> Iterator[dict[str, np.ndarray]]:
    text = source.dev()
    # dev has the order of its source, in which the labels may stand one after the other
    for row in np.random.default_rng(0).permutation(len(text))[: recipe.calibration_rows]:
        yield text.batch(np.array([row]))


def _converted(
    source: Source, precision: str, write: Callable[[Any, Path], dict[str, Any]]
) -> Fitted:
    """What comes of a model by `write`: (model, file of the ONNX model) -> facts of the run."""
    model = load_network(source.folder)
    facts: dict[str, Any] = {"rows": 0, "seconds": 0.0}

    def save(target: Path) -> None:
        started = time.monotonic()
        facts.update(write(model, target / encoders.ONNX))
        facts["seconds"] = round(time.monotonic() - started, 2)
        model.config.save_pretrained(target)
        reading = source.facts["max_length"], source.facts["head"]
        tokenization.save_for(None, source.tokenizer(), target, *reading)
        _write_facts(source, target, precision)

    def test_logits(saved: Path) -> np.ndarray:
        test = store.read_split(source.task.name, "test")
        text = source.reader().encode_split(source.task.name, test)
        total = int(text.lengths.sum())
        about = {"desc": "test", "unit": " tokens", "unit_scale": True}
        with progress.bar(total=total, **about) as bar:
            return OnnxClassifier(saved).logits(text, bar.update)  # as `predict` answers

    return Fitted(save, test_logits, facts, model.num_parameters(), precision)


def _write_facts(source: Source, target: Path, precision: str) -> None:
    reading = recipes.TextRecipe(source.facts["max_length"], source.facts["head"])
    teachers.write_facts(target, source.task, reading, precision, source.facts["pairs"])


def prune(
    task: Task,
    name: str,
    recipe: PruningRecipe,
    *,
    variant: str | None,
    command: str,
    checkpoint_seconds: float,
    force: bool,
) -> None:
    """Takes units and word pieces out of a model, then distils it again from recorded outputs."""
    source = find(task, name)
    outputs = _outputs(source)
    for phase in recipe.phases:
        losses.combined(phase.losses)  # refuses those that need more than recorded outputs
    experiment = _experiment(
        source,
        *("pruned", variant, recipe, command),
        inputs={f"{task.name}/outputs": outputs.fingerprint},
        checkpoint_seconds=checkpoint_seconds,
    )
    again = StudentRecipe(
        max_length=source.facts["max_length"],
        head=source.facts["head"],
        precision=recipe.precision,
        phases=recipe.phases,
    )

    def fit(seed: int, place: Path) -> Fitted:
        model, tokenizer = load_network(source.folder), source.tokenizer()
        units.of(model)  # refuses a model without units
        if recipe.method == "magnitude":
            pruning.zero_smallest(model.to(hardware.device()), recipe.sparsity)
        elif recipe.sparsity:
            model = _without_units(source, model, recipe, outputs)
        if recipe.pieces:
            tokenizer = _without_pieces(source, model, tokenizer, recipe)
        logging.info("%s: %d parameters", experiment.name, model.num_parameters())
        taught = student.Taught(None, outputs)
        return student.fit(experiment, again, model, tokenizer, taught, seed, place)

    experiment.run(fit, force)


def _outputs(source: Source) -> TeacherOutputs:
    """What a model was distilled from; of a teacher, its own outputs."""
    result, task = source.result, source.task
    if result["teacher"] is None:
        raise UserError(f"'{source.name}' has no teacher to be distilled from again")
    fingerprint = result["inputs"].get(f"{task.name}/outputs")
    if fingerprint is None:
        fingerprint = teachers.find(task, result["teacher"], result["variant"]).fingerprint
    return TeacherOutputs(task.name, fingerprint, result["teacher"])


def _without_units(
    source: Source, model: Any, recipe: PruningRecipe, outputs: TeacherOutputs
) -> Any:
    """The model without the units that the first phase's loss misses least."""
    train = store.read_split(source.task.name, "train")
    text = source.reader().encode_split(source.task.name, train)
    chosen = np.random.default_rng(0).permutation(len(train))[: recipe.rows]
    total = losses.combined(recipe.phases[0].losses)
    model.to(hardware.device())

    def of_row(row: int) -> Callable[[Any], torch.Tensor]:
        rows = np.array([row])
        batch = {
            **tensors.batch(text, rows),
            "teacher_logits": torch.from_numpy(outputs.logits(train.ids[rows])),
            "labels": torch.from_numpy(train.labels[rows]),
        }
        batch = {name: tensor.to(hardware.device()) for name, tensor in batch.items()}
        inputs = {name: batch[name] for name in INPUTS}
        return lambda model: total(model(**inputs).logits, batch)

    groups = units.of(model)
    scores = pruning.importance(model, map(of_row, chosen), groups)
    return pruning.pruned(model, scores, groups, recipe.sparsity)


def _without_pieces(source: Source, model: Any, tokenizer: Any, recipe: PruningRecipe) -> Any:
    """The tokenizer with a smaller vocabulary, and the model's embeddings likewise."""
    counts = np.zeros(len(tokenizer), np.int64)
    for name in ("train", "unlabeled"):
        split = store.read_split(source.task.name, name)
        if len(split):
            text = source.reader().encode_split(source.task.name, split)
            counts += np.bincount(text.pieces[:], minlength=len(counts))
    kept = vocabulary.commonest(tokenizer, counts, recipe.pieces)
    smaller = vocabulary.cut_tokenizer(tokenizer, kept)
    vocabulary.cut_embeddings(model, kept, smaller.pad_token_id)
    return smaller


def chain(
    task: Task,
    student_name: str,
    teacher: str,
    teacher_variant: str | None,
    variant: str | None,
    *,
    checkpoint_seconds: float,
    force: bool,
) -> None:
    """Exports and quantizes a distilled student. If the task's plan prunes and the student has
    units to prune, it is then pruned, distilled again, exported and quantized.

    Students with `static` matmuls are quantized by static ranges too.
    """
    name = paths.distillation_result(task.name, student_name, teacher, teacher_variant, variant)
    smaller = paths.compressed(name, "pruned")

    def command(step: str, model: str) -> str:
        return paths.command(step, {"task": task.name, "model": model})

    recipe = recipes.quantization(task.name)
    static = STUDENTS[student_name].static and recipe.method != "static"

    def convert(model: str) -> None:
        export(task, model, command=command("export", model), force=force)
        told = command("quantize", model)
        quantize(task, model, recipe, variant=None, command=told, force=force)
        if static:
            more = replace(recipe, method="static")
            told += " --method static --variant static"
            quantize(task, model, more, variant="static", command=told, force=force)

    convert(name)
    if not recipes.plan(task.name).prunes:
        return
    if not STUDENTS[student_name].prunes:
        logging.info("%s has no units to prune", name)
        return
    prune(
        *(task, name, recipes.pruning(task.name, student_name, teacher)),
        variant=None,
        command=command("prune", name),
        checkpoint_seconds=checkpoint_seconds,
        force=force,
    )
    convert(smaller)
