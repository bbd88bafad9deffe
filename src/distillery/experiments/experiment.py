"""One experiment, from a recipe to a result: what stages 2 to 5 share.

A stage says what it reads, how its model begins, which phases train it, and how it is saved and
evaluated; `run` takes it through all of that once per seed. The test split is read here alone,
after training is done and everything is selected.
"""

import json
import logging
import shutil
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from distillery import files, paths, results
from distillery.data import store
from distillery.data.task import Task
from distillery.errors import UserError
from distillery.experiments import ending
from distillery.kernels import hardware
from distillery.kernels.hardware import accelerator, lock_of_main
from distillery.models import saved
from distillery.models.saved import Model
from distillery.recipes import Recipe
from distillery.training import inference, loop

PREDICTIONS, DONE = "predictions.npy", "done.json"  # of a finished seed; DONE is written last
_NAMED = ("stage", "student", "layers", "teacher", "variant", "source")  # of a stage, in its result


class Stage(ABC):
    """One model to make, and what its result says of it.

    stage: as in results. version: of the stage's code; raise it when the same recipe would give
    another model. name: of the result. layers: of a student. source: name, metrics and bytes of the
    model that a compressed one is made of. seeds: where they don't come from the command line.
    """

    stage: str
    version: ClassVar[int]
    task: Task
    recipe: Recipe
    name: str
    student: str | None = None
    layers: int | None = None
    teacher: str | None = None
    variant: str | None = None
    source: results.Source | None = None
    seeds: list[int] | None = None

    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """Everything the model depends on beside the recipe: file (relative to the data folder) ->
        checksum."""

    @abstractmethod
    def build(self) -> Model:
        """The model before training, drawn from the random state of the seed."""

    def phases(self, model: Model, seed: int) -> Iterable[tuple[torch.nn.Module, loop.Job]]:
        """What is trained, and how, one after the other; nothing for a model that is converted."""
        return ()

    def save(self, model: Model, folder: Path) -> None:
        """Writes the model into an empty folder."""
        saved.save(model, folder, self.task)

    def evaluate(self, model: Model, folder: Path) -> np.ndarray:
        """The outputs (N, C) on test of the model saved in `folder`."""
        test = store.read_split(self.task.name, "test")
        text = model.reader().encode_split(self.task.name, test)
        return inference.logits(model.network, text, model.precision, "test")


def run(stage: Stage, arguments: Namespace) -> None:
    """Makes a stage's model and its result, unless they are up to date.

    arguments: `seeds`, `command_line` (what a user types for it), `checkpoint_seconds`, `force`.
    """
    Experiment(stage, arguments).run(arguments.force)


def fit(
    stage: Stage, seed: int, place: Path, checkpoint_seconds: float
) -> tuple[Model, dict[str, Any]]:
    """Builds a stage's model with a seed and trains it through its phases.

    Gives the model and the facts of the training, those of the last phase: seconds (of all phases),
    epochs (likewise), rows, history, best epoch and dev metrics. place: folder of checkpoints.
    """
    torch.manual_seed(seed)
    model = stage.build()
    facts: dict[str, Any] = {"epochs": 0, "rows": 0, "seconds": 0.0}
    for number, (module, job) in enumerate(stage.phases(model, seed), start=1):
        found = loop.train(module, job, place / f"phase{number}", checkpoint_seconds)
        found["epochs"] += facts["epochs"]
        found["seconds"] = round(found["seconds"] + facts["seconds"], 2)
        facts = found
    return model, facts


class Experiment:
    """A stage with the seeds to run it with; arguments as of `run`."""

    def __init__(self, stage: Stage, arguments: Namespace) -> None:
        self.stage, self.seeds = stage, stage.seeds or arguments.seeds
        self.command = arguments.command_line
        self.checkpoint_seconds = arguments.checkpoint_seconds
        self.task, self.name = stage.task, stage.name
        self.inputs = {**splits_read(stage.task, stage.recipe), **stage.inputs()}
        self.wanted = wanted(stage.recipe, stage.version, self.inputs)

    def run(self, force: bool) -> None:
        """Runs what is not up to date, and writes the result."""
        folder = paths.results(self.task.local)
        names = {name: getattr(self.stage, name) for name in ("teacher", "student", "variant")}
        then = ending.next_command(self.task, self.stage.stage, model=self.name, **names)
        if not force and results.is_current(folder, self.name, self.wanted, self.seeds):
            ending.up_to_date(self.name, then)
            write_labels(self.task)
            return
        if accelerator().is_main_process:
            files.check_writable(folder)
        commit = results.commit()  # of the code that runs, which may change on disk meanwhile
        with lock_of_main(self.name, f"experiment {self.name}"):
            places = {seed: self._place(seed) for seed in self.seeds}
            if force and accelerator().is_main_process:
                for place in places.values():
                    shutil.rmtree(place, ignore_errors=True)
            accelerator().wait_for_everyone()
            runs = {}
            for seed, place in places.items():
                runs[place] = self._finished(seed, place) or self._run_seed(seed, place, commit)
                if accelerator().is_main_process:  # also where a kill came before
                    files.remove_tensors(place, keep=place / "model")
            result = self._write(folder, runs)
        ending.done(self.name, _scores(result), paths.model(self.task.name, self.name), then)

    def trial(self, seed: int) -> dict[str, Any]:
        """Trains with one seed, for a search; gives the facts, dev metrics among them.

        Test is not read, and no model is saved. The run's folder is that of the experiment: once
        the recipe is chosen, its run resumes from there and trains nothing again. What has run to
        its end already is not trained again either.
        """
        place = self._place(seed)
        if (place / DONE).is_file():
            done = files.read_json(place / DONE, "run")
            return {**done["run"], **{key: done.get(key) for key in ("commit", "environment")}}
        if not (place / "trial.json").is_file():
            with lock_of_main(self.name, f"experiment {self.name}"):
                commit = results.commit()
                model, facts = fit(self.stage, seed, place, self.checkpoint_seconds)
                made = {"commit": commit, "environment": hardware.environment(model.precision)}
                if accelerator().is_main_process:
                    files.write_json(place / "trial.json", {**facts, **model.facts, **made})
                accelerator().wait_for_everyone()
        return files.read_json(place / "trial.json", "dev", "seconds")

    def _place(self, seed: int) -> Path:
        return paths.run(self.task.name, self.name, files.short_hash(self.wanted), seed)

    def _finished(self, seed: int, place: Path) -> dict[str, Any] | None:
        """What a finished seed left behind, if that is whole."""
        predictions = place / PREDICTIONS
        if not (place / DONE).is_file() or not predictions.is_file():
            return None
        done = files.read_json(place / DONE, "run", "outputs")
        if done.get("predictions") != files.sha256(predictions):
            logging.warning("%s is damaged: this seed runs again", predictions)
            return None
        outputs = done["outputs"]  # of the first seed alone
        whole = outputs and not any(files.changed(paths.data(), outputs))
        return done if whole or seed != self.seeds[0] else None

    def _run_seed(self, seed: int, place: Path, commit: results.Commit) -> dict[str, Any]:
        """Trains one seed, saves its model, then reads test once."""
        first = seed == self.seeds[0]
        model, facts = fit(self.stage, seed, place, self.checkpoint_seconds)
        folder = paths.model(self.task.name, self.name) if first else place / "model"
        if accelerator().is_main_process:
            with files.replacing_folder(folder) as temporary:
                self.stage.save(model, temporary)
        accelerator().wait_for_everyone()
        outputs = self.stage.evaluate(model, folder)
        test, kind = store.read_split(self.task.name, "test"), self.task.kind
        predicted = kind.decode(outputs)
        run = {"seed": seed, "metrics": kind.scores(self.task.metric, test.labels, predicted)}
        if (ece := kind.calibration_error(test.labels, outputs)) is not None:
            run["ece"] = ece
        if not splits_read(self.task, self.stage.recipe).items() <= self.inputs.items():
            raise UserError(f"the splits of {self.task.name} changed while {self.name} was trained")
        done = {
            "run": {**run, **facts, **model.facts},
            "outputs": files.sums(folder, paths.data()) if first else {},
            "parameters": model.network.num_parameters(),
            "bytes": saved.weights(folder).stat().st_size,
            "environment": hardware.environment(model.precision),
            "commit": commit,
        }
        if accelerator().is_main_process:
            with files.replacing(place / PREDICTIONS) as temporary, temporary.open("wb") as file:
                np.save(file, predicted)
            done["predictions"] = files.sha256(place / PREDICTIONS)
            files.write_json(place / DONE, done)
        accelerator().wait_for_everyone()
        return done

    def _write(self, folder: Path, runs: dict[Path, dict[str, Any]]) -> results.Result:
        """Writes the result of all seeds; `runs` is by run folder, the first seed first."""
        write_labels(self.task)
        predictions = np.stack([np.load(place / PREDICTIONS) for place in runs])
        first = next(iter(runs.values()))
        made = ("commit", "environment")  # of the first seed; of another one where it differs
        entries: list[Any] = [
            {**run["run"], **{key: run[key] for key in made if run[key] != first[key]}}
            for run in runs.values()
        ]
        stage, name = self.stage, self.task.name
        reads_unlabeled = f"{name}/unlabeled.parquet" in self.inputs
        result = results.Result(
            name=self.name,
            task=name,
            kind=self.task.kind.name,
            **{key: getattr(stage, key) for key in _NAMED},
            n=predictions.shape[1],
            metrics=results.mean_metrics(entries),
            runs=entries,
            **self.wanted,
            **{key: first[key] for key in ("outputs", *made, "parameters", "bytes")},
            command=self.command,
            subset=store.subset(name),
            unlabeled_data=store.unlabeled_data(name) if reads_unlabeled else None,
        )
        if accelerator().is_main_process:
            packed = self.task.kind.pack(predictions, self.task.labels)
            results.write(folder, result, packed)
        return result


def _scores(result: results.Result) -> str:
    """The main metric on test and, where dev selected the model, on dev: means over the seeds."""
    metric, runs = result.metric, result.runs
    said = f"{metric} {result.metrics[metric]:.4f} on test"
    if all("dev" in run for run in runs):
        said += f", {sum(run['dev'][metric] for run in runs) / len(runs):.4f} on dev"
    return f"{said} (mean of {len(runs)} seeds)" if len(runs) > 1 else said


def wanted(recipe: Recipe, version: int, inputs: dict[str, str]) -> dict[str, Any]:
    """The fields of a result that say how it was made, as JSON gives them back."""
    values = json.loads(json.dumps(recipe.as_dict()))
    return {"recipe": values, "stage_version": version, "inputs": inputs}


def write_labels(task: Task) -> None:
    """Puts the true labels of test beside the predictions, for the report's statistics, where
    they are not there yet."""
    if not accelerator().is_main_process:
        return
    folder, lock = paths.results(task.local), paths.lock(f"{task.name}.labels")
    with files.locked(lock, f"writing the labels of {task.name}", wait=True):
        try:
            known = results.read_labels(folder, task.name)
        except UserError as error:
            logging.warning("%s: rewriting them", error)
            known = None
        if known and known.sha256 == store.read_manifest(task.name)["sha256"]["test"]:
            return
        test = store.read_split(task.name, "test")
        packed = task.kind.pack(test.labels[None, :], task.labels)
        labels = results.Labels(task.kind.name, task.labels, len(test), packed, test.sha256)
        results.write_labels(folder, task.name, labels)


def splits_read(task: Task, recipe: Recipe | None = None) -> dict[str, str]:
    """The splits that an experiment reads, and what their labels mean, as inputs of it.

    Unlabeled and augmented rows are among them only where the recipe reads them: more text to
    distil on makes no teacher outdated.
    """
    read = set(getattr(recipe, "splits", ()))
    read.update(*(phase.splits for phase in getattr(recipe, "phases", ())))
    if getattr(recipe, "pieces", 0):  # the commonest of train and unlabeled
        read.add("unlabeled")
    sums = dict(store.read_manifest(task.name)["sha256"])
    if "unlabeled" not in read:
        del sums["unlabeled"]
    if paths.AUGMENTED in read:
        sums[paths.AUGMENTED] = store.read_augmented_manifest(task.name)["sha256"]
    inputs = {
        paths.split(task.name, name).relative_to(paths.data()).as_posix(): checksum
        for name, checksum in sums.items()
    }
    return {**inputs, f"{task.name}/labels": files.short_hash([*task.labels, task.metric])}
