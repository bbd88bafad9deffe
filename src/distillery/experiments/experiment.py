"""What stages 2 to 4 share: one experiment, over its seeds, from a recipe to a result.

The test split is read here, in `_finish`, after training is done and everything is selected;
nothing that trains or selects can reach it.
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distillery import encoders, files, paths, results
from distillery.data import store
from distillery.data.task import Task
from distillery.distillation import teacher as teachers
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError
from distillery.evaluation import calibration, metrics
from distillery.experiments import ending
from distillery.kernels import hardware
from distillery.kernels.processes import accelerator
from distillery.recipes import Recipe

PREDICTIONS, DONE = "predictions.npy", "done.json"  # what a finished seed leaves, the last last


@dataclass(frozen=True)
class Fitted:
    """A trained model of one seed.

    save: writes model and tokenizer into a folder. test_logits: the outputs (N, labels) on test.
    facts: of the training (seconds, rows, epochs, dev metrics).
    """

    save: Callable[[Path], None]
    test_logits: Callable[[Path], np.ndarray]
    facts: dict[str, Any]
    parameters: int
    precision: str


@dataclass(frozen=True)
class Experiment:
    """A name, and everything its result depends on.

    inputs: file (relative to the data folder) -> sha256. version: of the stage's code. source:
    name, metrics and bytes of what a compressed model is made of.
    """

    name: str
    stage: str
    task: Task
    recipe: Recipe
    version: int
    inputs: dict[str, str]
    command: str
    seeds: list[int] = field(default_factory=lambda: [0])
    student: str | None = None
    layers: int | None = None
    teacher: str | None = None
    variant: str | None = None
    source: dict[str, Any] | None = None
    checkpoint_seconds: float = 120.0

    @property
    def _wanted(self) -> dict[str, Any]:
        """The fields of a result that say how it was made, as JSON gives them back."""
        recipe = json.loads(json.dumps(self.recipe.as_dict()))
        return {"recipe": recipe, "stage_version": self.version, "inputs": self.inputs}

    @property
    def _next(self) -> str:
        names = {"teacher": self.teacher, "student": self.student, "variant": self.variant}
        return ending.next_command(self.task, self.stage, model=self.name, **names)

    def run(self, fit: Callable[[int, Path], Fitted], force: bool) -> bool:
        """Runs what is not up to date; gives whether anything was. `fit`: (seed, folder)."""
        folder = paths.results(self.task.local)
        if not force and results.is_current(folder, self.name, self._wanted, self.seeds):
            ending.up_to_date(self.name, self._next)
            write_labels(self.task)
            return False
        if accelerator().is_main_process:
            files.check_writable(folder)
        commit = results.commit()  # of the code that runs, which may change on disk meanwhile
        with lock_of_main(self.name, f"experiment {self.name}"):
            key = files.short_hash(self._wanted)
            runs: dict[Path, dict[str, Any]] = {}
            for seed in self.seeds:
                place = paths.run(self.task.name, self.name, key, seed)
                if force and accelerator().is_main_process:
                    shutil.rmtree(place, ignore_errors=True)
                accelerator().wait_for_everyone()
                first = seed == self.seeds[0]
                run = self._done(place, first)
                runs[place] = run or self._run_seed(fit, seed, place, commit)
                if accelerator().is_main_process:  # also where a kill came before
                    files.remove_tensors(place, keep=place / "model")
            self._write(folder, runs)
        return True

    def trial(self, fit: Callable[[int, Path], Fitted], seed: int) -> dict[str, Any]:
        """Trains with one seed, for a search; gives the facts, dev metrics among them.

        Test is not read, and no model is saved. The run's folder is that of the experiment: once
        the recipe is chosen, its run goes on from there and trains nothing again. What has run to
        its end already is not trained again either.
        """
        place = paths.run(self.task.name, self.name, files.short_hash(self._wanted), seed)
        if (place / DONE).is_file():
            done = files.read_json(place / DONE, "run")
            return {**done["run"], **{key: done.get(key) for key in ("commit", "environment")}}
        if not (place / "trial.json").is_file():
            with lock_of_main(self.name, f"experiment {self.name}"):
                commit = results.commit()
                torch.manual_seed(seed)
                fitted = fit(seed, place)
                made = {"commit": commit, "environment": hardware.environment(fitted.precision)}
                facts = {**fitted.facts, **made}
                if accelerator().is_main_process:
                    files.write_json(place / "trial.json", facts)
                accelerator().wait_for_everyone()
        return files.read_json(place / "trial.json", "dev", "seconds")

    def _outputs(self) -> dict[str, str]:
        """Checksums of the saved model's files."""
        folder = paths.model(self.task.name, self.name)
        return {
            path.relative_to(paths.data()).as_posix(): files.sha256(path)
            for path in sorted(folder.iterdir())
        }

    def _done(self, place: Path, first: bool) -> dict[str, Any] | None:
        """What a finished seed left behind, if that is whole."""
        predictions = place / PREDICTIONS
        if not (place / DONE).is_file() or not predictions.is_file():
            return None
        done = files.read_json(place / DONE, "run", "outputs")
        if done.get("predictions") not in (None, files.sha256(predictions)):  # None: older runs
            logging.warning("%s is damaged: this seed runs again", predictions)
            return None
        model = paths.model(self.task.name, self.name)
        if first and (not model.is_dir() or done["outputs"] != self._outputs()):
            return None
        return done

    def _run_seed(
        self,
        fit: Callable[[int, Path], Fitted],
        seed: int,
        place: Path,
        commit: dict[str, Any],
    ) -> dict[str, Any]:
        """Trains one seed, saves its model, then reads test once."""
        first = seed == self.seeds[0]
        torch.manual_seed(seed)
        fitted = fit(seed, place)
        model = paths.model(self.task.name, self.name) if first else place / "model"
        if accelerator().is_main_process:
            with files.replacing_folder(model) as temporary:
                fitted.save(temporary)
        accelerator().wait_for_everyone()
        test = store.read_split(self.task.name, "test")
        logits = fitted.test_logits(model)
        predicted = logits.argmax(axis=1)
        scores = metrics.scores(self.task.metric, test.labels, predicted)
        ece = calibration.expected_calibration_error(test.labels, calibration.softmax(logits))
        if not split_inputs(self.task, self.recipe).items() <= self.inputs.items():
            raise UserError(f"the splits of {self.task.name} changed while {self.name} was trained")
        done = {
            "run": {"seed": seed, "metrics": scores, "ece": ece, **fitted.facts},
            "outputs": self._outputs() if first else {},
            "parameters": fitted.parameters,
            "bytes": weights_of(model).stat().st_size,
            "environment": hardware.environment(fitted.precision),
            "commit": commit,
        }
        if accelerator().is_main_process:
            with files.replacing(place / PREDICTIONS) as temporary, temporary.open("wb") as f:
                np.save(f, predicted)
            checksum = files.sha256(place / PREDICTIONS)
            files.write_json(place / DONE, {**done, "predictions": checksum})
        accelerator().wait_for_everyone()
        return done

    def _write(self, folder: Path, runs: dict[Path, dict[str, Any]]) -> None:
        """The result of all seeds; `runs` is by run folder, the first seed first."""
        write_labels(self.task)
        predictions = np.stack([np.load(place / PREDICTIONS) for place in runs])
        first = next(iter(runs.values()))
        made = ("commit", "environment")  # of the first seed; of another one where it differs
        entries = [
            {**run["run"], **{key: run[key] for key in made if run[key] != first[key]}}
            for run in runs.values()
        ]
        reads_unlabeled = f"{self.task.name}/unlabeled.parquet" in self.inputs
        result = {
            "name": self.name,
            "stage": self.stage,
            "task": self.task.name,
            "student": self.student,
            "layers": self.layers,
            "teacher": self.teacher,
            "baseline": None,
            "variant": self.variant,
            "split": "test",
            "n": predictions.shape[1],
            "metrics": results.mean_metrics(entries),
            "runs": entries,
            **self._wanted,
            "outputs": first["outputs"],
            "commit": first["commit"],
            "environment": first["environment"],
            "parameters": first["parameters"],
            "bytes": first["bytes"],
            "command": self.command,
            "subset": store.subset(self.task.name),
            "unlabeled_data": store.unlabeled_data(self.task.name) if reads_unlabeled else None,
            **({results.SOURCE: self.source} if self.source else {}),
        }
        if accelerator().is_main_process:
            results.write(folder, result, predictions, len(self.task.labels))
        ending.done(self.name, _scores(result), paths.model(self.task.name, self.name), self._next)


def _scores(result: dict[str, Any]) -> str:
    """The main metric on test and, where dev selected the model, on dev: means over the seeds."""
    metric, value = next(iter(result["metrics"].items()))
    runs = result["runs"]
    said = f"{metric} {value:.4f} on test"
    if all("dev" in run for run in runs):
        said += f", {sum(run['dev'][metric] for run in runs) / len(runs):.4f} on dev"
    return f"{said} (mean of {len(runs)} seeds)" if len(runs) > 1 else said


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
            logging.warning("%s: they are written anew", error)
            known = None
        if known and known.sha256 == store.read_manifest(task.name)["sha256"]["test"]:
            return
        test = store.read_split(task.name, "test")
        labels = results.Labels(task.labels, test.labels, test.sha256)
        results.write_labels(folder, task.name, labels)


def weights_of(folder: Path) -> Path:
    """The file of a saved model's weights."""
    exported = folder / encoders.ONNX
    return exported if exported.is_file() else folder / encoders.WEIGHTS


def lock_of_main(name: str, what: str) -> contextlib.AbstractContextManager[None]:
    """A lock held by the main process for all; a second holder is refused by the name `what`."""
    if accelerator().is_main_process:
        return files.locked(paths.lock(name), what)
    return contextlib.nullcontext()


def check_on_dev(task: Task, source: teachers.Teacher, outputs: TeacherOutputs) -> None:
    """Refuses a teacher whose recorded outputs on dev are not those of a good one."""
    dev = store.read_split(task.name, "dev")
    floor = source.facts["floor"]
    logits = outputs.logits(dev.ids)
    teachers.check_outputs(source.name, logits, dev.labels, task, floor)


def split_inputs(task: Task, recipe: Recipe | None = None) -> dict[str, str]:
    """The splits of a task, and what its labels mean, as inputs of an experiment.

    Unlabeled and augmented rows are among them only where the recipe reads them, to train on or
    for a vocabulary of words: more text to distil on makes no teacher anew.
    """
    read = set(getattr(recipe, "splits", ()))
    read.update(*(phase.splits for phase in getattr(recipe, "phases", ())))
    words = getattr(recipe, "vocabulary", None) == "words"
    if words or getattr(recipe, "pieces", 0):  # the commonest of train and unlabeled
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
