"""A grid of recipes, compared on dev: what `recipes/<task>.py` was chosen by. Test stays unread."""

import logging
from argparse import Namespace
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distillery import files, paths
from distillery.data.task import Task
from distillery.experiments.experiment import Experiment, Stage
from distillery.kernels.hardware import accelerator
from distillery.recipes import Recipe, options

Trial = dict[str, Any]


def run(stages: Sequence[Stage], planned: Recipe, arguments: Namespace) -> None:
    """Tries every stage, which differ in their recipes, with every seed, and writes the table.

    planned: the task's recipe as it is. arguments: as of `experiment.run`. Each trial's score is
    kept at once: started again, the search resumes.
    """
    task = stages[0].task
    path = paths.results(task.local) / "search" / f"{stages[0].name}.json"
    trials: list[Trial] = []
    for stage in stages:
        experiment = Experiment(stage, arguments)
        for seed in experiment.seeds:
            facts = experiment.trial(seed)
            trials.append(
                {
                    **{key: facts[key] for key in ("dev", "history", "seconds", "epochs", "rows")},
                    "recipe": stage.recipe.as_dict(),
                    "seed": seed,
                    "inputs": experiment.inputs,
                    # of when it was trained, which may be long ago; None: before that was kept
                    **{key: facts.get(key) for key in ("commit", "environment")},
                }
            )
            if accelerator().is_main_process:
                _write(path, task, planned, trials)
    if accelerator().is_main_process:
        text = path.with_suffix(".txt")
        logging.info("%s\n%s", text.read_text(encoding="utf-8").rstrip(), text)


def _write(path: Path, task: Task, planned: Recipe, trials: Sequence[Trial]) -> None:
    """Adds these trials to those of earlier searches, and the table for people beside them.

    Scores on other rows, or of another teacher's outputs, are no longer to be compared: they go.
    """
    earlier = files.read_json(path, "trials")["trials"].values() if path.is_file() else ()
    today = {file: found for trial in trials for file, found in trial["inputs"].items()}
    kept = [trial for trial in earlier if _fits(trial, today)]
    if len(kept) < len(earlier):
        gone = len(earlier) - len(kept)
        logging.warning(
            "%s: %d trials go, on other inputs than today's or on unknown ones", path, gone
        )
    found = {f"{_key(trial)}-{trial['seed']}": trial for trial in (*kept, *trials)}
    files.write_json(path, {"split": "dev", "metric": task.metric, "trials": found})
    lines = table([*found.values()], task.metric, planned)
    files.write_text(path.with_suffix(".txt"), "\n".join(lines) + "\n")


def _key(trial: Trial) -> str:
    """The same for trials of one recipe."""
    return files.short_hash(trial["recipe"])


def table(trials: Sequence[Trial], metric: str, planned: Recipe) -> list[str]:
    """A line per recipe, the best first: the mean of its seeds, and those of its values that some
    other trial, or the task's recipe, has otherwise."""
    seeds: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        seeds[_key(trial)].append(trial)
    recipes = {key: options.values(found[0]["recipe"]) for key, found in seeds.items()}
    usual = options.values(planned.as_dict())
    every = [*recipes.values(), usual]
    names = dict.fromkeys(name for values in every for name in values)
    varied = [name for name in names if len({values.get(name) for values in every}) > 1]
    scores = {
        key: sum(trial["dev"][metric] for trial in found) / len(found)
        for key, found in seeds.items()
    }
    own = " ".join(f"{name}={usual.get(name)}" for name in varied) or "the same"
    lines = [f"dev {metric} (mean of the seeds), seeds, recipe; the task's own: {own}"]
    for key in sorted(scores, key=lambda key: -scores[key]):
        used = ",".join(str(trial["seed"]) for trial in seeds[key])
        told = " ".join(f"{name}={recipes[key].get(name)}" for name in varied)
        lines.append(f"{scores[key]:.4f}  {used}  {told}".rstrip())
    return lines


def _fits(trial: Trial, today: Mapping[str, str]) -> bool:
    """Whether a trial read the files of `today`, where it read the same ones; of one that does not
    say what it read nobody knows."""
    inputs = trial.get("inputs", {})
    return bool(inputs) and all(inputs[f] == today[f] for f in inputs.keys() & today.keys())
