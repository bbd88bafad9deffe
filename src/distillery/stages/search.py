"""A grid of recipes, compared on dev: what `recipes/<task>.py` was chosen by. Test stays unread."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from distillery import files, paths
from distillery.preprocessing.task import Task
from distillery.stages.experiment import Experiment, Fitted
from distillery.training.processes import accelerator

Prepared = tuple[Experiment, Callable[[int, Any], Fitted]]


def run(
    task: Task, name: str, candidates: Mapping[str, Any], prepare: Callable[[Any], Prepared]
) -> None:
    """Tries every candidate (what it changes -> recipe) with one seed; writes the table.

    prepare: recipe -> experiment and fit. Each candidate's score is kept at once: started again,
    the search goes on where it was.
    """
    path = paths.results(task.local) / "search" / f"{name}.json"
    trials: dict[str, dict[str, Any]] = {}
    prepared = {label: prepare(recipe) for label, recipe in candidates.items()}  # refuses first
    for change, (experiment, fit) in prepared.items():
        seed = experiment.seeds[0]
        label = f"{change} (seed {seed})" if seed else change
        facts = experiment.trial(fit)
        trials[label] = {
            **{key: facts[key] for key in ("dev", "history", "seconds", "epochs", "rows")},
            "recipe": experiment.recipe.as_dict(),
            "seed": seed,
            "inputs": experiment.inputs,
            # of when it was trained, which may be long ago; None: before that was kept
            **{key: facts.get(key) for key in ("commit", "environment")},
        }
        if accelerator().is_main_process:
            _write(path, task, trials)
        logging.info("%s: dev %s %.4f", label, task.metric, facts["dev"][task.metric])
    best = max(trials, key=lambda label: trials[label]["dev"][task.metric])
    logging.info("best on dev: %s (%s)", best, path)


def _write(path: Any, task: Task, trials: Mapping[str, Any]) -> None:
    """Adds these trials to those of earlier searches, and the table for people beside them.

    Scores on other rows, or of another teacher's outputs, are no longer to be compared: they go.
    """
    earlier = files.read_json(path, "trials")["trials"] if path.is_file() else {}
    today = {file: found for trial in trials.values() for file, found in trial["inputs"].items()}
    kept = {label: trial for label, trial in earlier.items() if _fits(trial, today)}
    if len(kept) < len(earlier):
        gone = len(earlier) - len(kept)
        logging.warning("%s: %d trials on other inputs than today's are left out", path, gone)
    found = {**kept, **trials}
    scores = {label: trial["dev"][task.metric] for label, trial in found.items()}
    files.write_json(path, {"split": "dev", "metric": task.metric, "trials": found})
    lines = [f"dev {task.metric}, seed, what was changed in the recipe"]
    for label in sorted(scores, key=lambda label: -scores[label]):
        lines.append(f"{scores[label]:.4f}  {found[label]['seed']}  {label}")
    files.write_text(path.with_suffix(".txt"), "\n".join(lines) + "\n")


def _fits(trial: Mapping[str, Any], today: Mapping[str, str]) -> bool:
    """Whether a trial read the files of `today`, where it read the same ones."""
    inputs = trial.get("inputs", {})
    return all(inputs[file] == today[file] for file in inputs.keys() & today.keys())
