"""Stage 3: rows that keep a table honest: a constant answer, and linear models."""

import time
from argparse import Namespace

from distillery import baselines, files, paths, recipes, results
from distillery.data import store
from distillery.data.task import Task
from distillery.experiments import ending
from distillery.experiments.experiment import splits_read, wanted, write_labels
from distillery.kernels import hardware

VERSION = 2
ALL = "all"


def run(task: Task, arguments: Namespace) -> None:
    """Writes the result on test of a baseline, or of all that fit the task's kind."""
    chosen = task.kind.baselines if arguments.baseline == ALL else (arguments.baseline,)
    for name in chosen:
        baselines.check(name, task)
        _run(task, name, arguments.force)


def _run(task: Task, name: str, force: bool) -> None:
    recipe = recipes.baseline(task.name, name)
    folder = paths.results(task.local)
    result_name = paths.student_result(task.name, name)
    made_as = wanted(recipe, VERSION, splits_read(task))
    then = ending.next_command(task, "baseline")
    if not force and results.is_current(folder, result_name, made_as, [0]):
        ending.up_to_date(result_name, then)
        write_labels(task)
        return
    files.check_writable(folder)
    commit = results.commit()  # of the code that runs, which may change on disk meanwhile
    with files.locked(paths.lock(result_name), f"experiment {result_name}"):
        started = time.monotonic()
        train, dev = (store.read_split(task.name, split) for split in ("train", "dev"))
        fitted = baselines.FIT[name](train, dev, recipe, task)
        seconds = round(time.monotonic() - started, 2)
        test = store.read_split(task.name, "test")
        predicted, logits = fitted.predict(test)
        scores = task.kind.scores(task.metric, test.labels, predicted)
        run = {"seed": 0, "metrics": scores, "seconds": seconds, "rows": len(train)}
        if logits is not None:
            run["ece"] = task.kind.calibration_error(test.labels, logits)
        result = results.Result(
            name=result_name,
            stage="baseline",
            task=task.name,
            kind=task.kind.name,
            baseline=name,
            n=len(test),
            metrics=scores,
            runs=[{**run, **fitted.facts}],  # type: ignore[typeddict-item]
            **made_as,
            outputs={},
            commit=commit,
            environment=hardware.environment("fp64"),
            parameters=fitted.parameters,
            command=paths.command("baseline", {"task": task.name, "baseline": name}),
            subset=store.subset(task.name),
        )
        write_labels(task)
        results.write(folder, result, task.kind.pack(predicted[None, :], task.labels))
        facts = "{} {:.4f} on test".format(*next(iter(scores.items())))
        ending.done(result_name, facts, folder / f"{result_name}.txt", then)
