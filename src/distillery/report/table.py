"""Tables: results in, Markdown out. Reads no file, and no name is ever parsed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distillery import paths
from distillery.errors import UserError
from distillery.report import origin
from distillery.report.ablation import is_ablation
from distillery.report.cells import (
    NO_VALUE,
    NOT_RUN,
    Result,
    code,
    commit,
    duration,
    made_by,
    parameters,
    points,
    score,
    scores,
    size,
    table,
)

BASELINES = {
    "majority": "majority class",
    "tfidf": "TF-IDF + logistic regression",
    "nbsvm": "NBSVM on bigrams",
}
COLUMNS = (
    *("model", "single", "distilled", "gain"),
    *("parameters", "size on disk", "training time", "made by"),
)
VARIANT_COLUMNS = ("result", "variant", "score", "change", *COLUMNS[4:])
COMPRESSED_COLUMNS = (
    *("result", "variant", "made of", "its score", "score", "change"),
    *("parameters", "size on disk", "times smaller", "made by"),
)
LEGEND = """\
- The dev split selected every recipe and epoch; the test split was read once for each final model.
- single: trained on the labels alone; distilled: the same student taught by the teacher; gain: \
distilled minus single in percentage points, before rounding.
- size on disk: the weights file; training time: of one seed as timed during the run, single / \
distilled, without the teacher's training and recording."""


@dataclass(frozen=True)
class Row:
    """One line of a teacher's table; a result is None where it was not run.

    `teacher` is None where the task has no teacher yet; `single` also holds the one result of a
    teacher or a baseline; `commands` make the line, the single student's first.
    """

    stage: str  # "teacher", "baseline" or "student"
    name: str  # the teacher's short name, the baseline or the student
    teacher: str | None
    single: Result | None
    distilled: Result | None
    commands: tuple[str, ...]


def of_task(results: Mapping[str, Result], task: str) -> list[Result]:
    """The task's results on the test split, by name."""
    found = (results[name] for name in sorted(results))
    return [result for result in found if result["task"] == task and result["split"] == "test"]


def find(found: Iterable[Result], **fields: str | None) -> Result | None:
    """The first result without a variant that has these fields, or None."""
    fields = {"variant": None, **fields}
    matches = (r for r in found if all(r.get(key) == value for key, value in fields.items()))
    return next(matches, None)


def teachers(found: Iterable[Result]) -> list[str]:
    """Short names of the teachers that were trained or distilled from, in alphabetical order."""
    return sorted({r["teacher"] for r in found if r["stage"] in ("teacher", "distillation")})


def all_students(found: Iterable[Result], students: Sequence[str]) -> list[str]:
    """`students` in their order, then those that have results but are not among them."""
    have = sorted({r["student"] for r in found if r["stage"] in ("student", "distillation")})
    return list(dict.fromkeys([*students, *have]))


def main_metric(found: Sequence[Result]) -> tuple[str, int]:
    """The task's main metric (the first of a result's) and number of test rows, by its teacher.

    UserError if a result lacks that metric.
    """
    reference = next((r for r in found if r["stage"] == "teacher"), found[0])
    metric = next(iter(reference["metrics"]))
    for result in found:
        if metric not in result["metrics"]:
            has = ", ".join(result["metrics"])
            raise UserError(f"result {result['name']}: has no {metric} to compare, only {has}")
    return metric, reference["n"]


def shown_metrics(found: Sequence[Result]) -> list[str]:
    """The main metric, and accuracy beside another one: what a reader knows and a teacher's floor
    is in."""
    metric, _ = main_metric(found)
    every = all("accuracy" in result["metrics"] for result in found)
    return [metric, *(["accuracy"] if every and metric != "accuracy" else [])]


def rows(results: Mapping[str, Result], task: str, students: Sequence[str]) -> list[Row]:
    """The lines of the task's tables: per teacher the teacher, the baselines, every student."""
    found = of_task(results, task)
    lines = []
    names: list[str | None] = [*teachers(found)]
    for teacher in names or [None]:
        if teacher is not None:
            result = find(found, stage="teacher", teacher=teacher)
            commands = (_command(result, "teacher", teacher=teacher, task=task),)
            lines.append(Row("teacher", teacher, teacher, result, None, commands))
        for name in BASELINES:
            result = find(found, stage="baseline", baseline=name)
            commands = (_command(result, "baseline", baseline=name, task=task),)
            lines.append(Row("baseline", name, teacher, result, None, commands))
        for student in all_students(found, students):
            lines.append(_student_row(found, task, student, teacher))
    return lines


def _student_row(found: Sequence[Result], task: str, student: str, teacher: str | None) -> Row:
    single = find(found, stage="student", student=student)
    commands = [_command(single, "student", student=student, task=task)]
    distilled = None
    if teacher is not None:
        distilled = find(found, stage="distillation", student=student, teacher=teacher)
        names = {"student": student, "teacher": teacher, "task": task}
        commands.append(_command(distilled, "distil", **names))
    return Row("student", student, teacher, single, distilled, tuple(commands))


def _command(result: Result | None, stage: str, **names: str) -> str:
    """The command that made a result, or the one that would make it."""
    return (result or {}).get("command") or paths.command(stage, names)


def markdown(results: Mapping[str, Result], task: str, students: Sequence[str]) -> str:
    """The task's tables, a heading above each, and below them what a reader must know of them.

    UserError if the task has no result or its results have no metric in common.
    """
    found = of_task(results, task)
    if not found:
        raise UserError(f"task {task}: no results on its test split")
    _, n = main_metric(found)
    metrics = shown_metrics(found)
    lines = rows(results, task, students)
    blocks = []
    for teacher in dict.fromkeys(row.teacher for row in lines):
        who = f"Teacher `{teacher}`" if teacher else "No teacher yet"
        blocks.append(f"### {who}: {' / '.join(metrics)} (%) on {n:,} test rows")
        cells = [_cells(row, metrics) for row in lines if row.teacher == teacher]
        blocks.append(table(COLUMNS, cells))
    if compressed := [result for result in found if result["stage"] == "compression"]:
        blocks.append("### Compressed")
        cells = [_compressed_cells(result, metrics[0]) for result in compressed]
        blocks.append(table(COMPRESSED_COLUMNS, cells))
    others = (r for r in found if r["stage"] != "compression" and not is_ablation(r))
    if variants := [result for result in others if result.get("variant")]:
        blocks.append("### Variants")
        cells = [_variant_cells(result, found, metrics) for result in variants]
        blocks.append(table(VARIANT_COLUMNS, cells))
    lines_below = [f"- {note}" for note in notes(found, n)]
    if len(metrics) > 1:
        lines_below.append(f"- The picture and every difference are of {metrics[0]}.")
    blocks.append("\n".join([*lines_below, LEGEND]))
    return "\n\n".join(blocks) + "\n"


def summary(results: Mapping[str, Result], task: str, students: Sequence[str]) -> str:
    """The rows that were run, for a README: no commands, no times.

    UserError as of `markdown`.
    """
    metrics = shown_metrics(of_task(results, task))
    lines = [row for row in rows(results, task, students) if row.single or row.distilled]
    return table(COLUMNS[:6], [_cells(row, metrics)[:6] for row in lines])


def plain(results: Mapping[str, Result], task: str, students: Sequence[str]) -> str:
    """The rows that were run and the compressed models, aligned for a terminal."""
    found = of_task(results, task)
    metrics = shown_metrics(found)
    lines = [row for row in rows(results, task, students) if row.single or row.distilled]
    blocks = [[COLUMNS[:6], *(_cells(row, metrics)[:6] for row in lines)]]
    if compressed := [result for result in found if result["stage"] == "compression"]:
        kept = (0, *range(4, len(COMPRESSED_COLUMNS) - 1))  # no command, no name of its source
        cells = [COMPRESSED_COLUMNS, *(_compressed_cells(r, metrics[0]) for r in compressed)]
        blocks.append([[line[column] for column in kept] for line in cells])
    return "\n\n".join(map(_aligned, blocks))


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell: the first one flush left, the others flush right."""
    cells = [[cell.replace("`", "") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in cells
    )


def name_of(row: Row) -> str:
    """A line's first cell."""
    if row.stage == "baseline":
        return BASELINES[row.name]
    return f"`{row.name}`" + (" (teacher)" if row.stage == "teacher" else "")


def _cells(row: Row, metrics: Sequence[str]) -> list[str]:
    commands = "<br>".join(map(code, row.commands))
    if row.stage == "student":
        distilled, gain = scores(row.distilled, metrics), NOT_RUN
        if row.single and row.distilled:
            gain = points(row.single, row.distilled, metrics[0])
        time = f"{duration(row.single)} / {duration(row.distilled)}"
    else:
        distilled = gain = NO_VALUE
        time = duration(row.single)
    sizes = [_either(row, parameters), _either(row, size)]
    return [name_of(row), scores(row.single, metrics), distilled, gain, *sizes, time, commands]


def _variant_cells(result: Result, found: Sequence[Result], metrics: Sequence[str]) -> list[str]:
    keys = ("stage", "student", "teacher", "baseline")
    plain = find(found, **{key: result.get(key) for key in keys})
    change = points(plain, result, metrics[0]) if plain else NOT_RUN
    sizes = [parameters(result), size(result), duration(result)]
    name, variant = code(result["name"]), result["variant"]
    return [name, variant, scores(result, metrics), change, *sizes, made_by(result)]


def _compressed_cells(result: Result, metric: str) -> list[str]:
    """A compressed model beside what it was made of."""
    source = result["source"]
    sizes = [parameters(result), size(result), f"{source['bytes'] / result['bytes']:.1f}"]
    before, change = f"{100 * source['metrics'][metric]:.2f}", points(source, result, metric)
    names = [code(result["name"]), result["variant"], code(source["name"])]
    return [*names, before, score(result, metric), change, *sizes, made_by(result)]


def _either(row: Row, show: Callable[[Result], str]) -> str:
    shown = [show(result) for result in (row.single, row.distilled) if result is not None]
    return " / ".join(dict.fromkeys(shown)) or NOT_RUN


def notes(found: Sequence[Result], n: int) -> list[str]:
    """Plain lines on machines, seeds, rows and commits; each says whose it is where they differ."""
    lines = [*_groups("Machine", found, _machines), *_groups("Seeds", found, _seeds)]
    trained = [r for r in found if any(run["rows"] for run in r["runs"])]
    trained = [r for r in trained if r["stage"] != "baseline"]
    lines += _groups("Training rows per epoch", trained, _train_rows)
    lines += _groups("Code", found, _commits)
    if any(result.get("subset") for result in found):
        lines += _groups("Official rows that were used", found, _subset)
    for more in dict.fromkeys(filter(None, (r.get("unlabeled_data") for r in found))):
        names = [f"`{r['name']}`" for r in found if r.get("unlabeled_data") == more]
        lines.append(f"With the unlabeled rows of {more}: {', '.join(names)}.")
    other = [f"`{r['name']}` ({r['n']:,})" for r in found if r["n"] != n]
    if other:
        lines.append(f"Not comparable, measured on other than {n:,} test rows: {', '.join(other)}.")
    lines += _strangers("Not comparable, measured on another test split", found, "test")
    trained = [r for r in found if r["stage"] != "compression"]
    for split in ("train", "dev"):
        lines += _strangers(f"Not comparable, made with another {split} split", trained, split)
    return [*lines, *origin.notes(found)]


def _strangers(title: str, found: Sequence[Result], split: str) -> list[str]:
    """The results that read another file of this split than the teacher, or else the first, did."""
    ordered = sorted(found, key=lambda r: r["stage"] != "teacher")
    sums = {r["name"]: (r.get("inputs") or {}).get(f"{r['task']}/{split}.parquet") for r in ordered}
    first = next(filter(None, sums.values()), None)
    odd = [f"`{name}`" for name, checksum in sums.items() if checksum not in (first, None)]
    return [f"{title}: {', '.join(odd)}."] if odd else []


def _groups(title: str, found: Sequence[Result], describe: Callable[[Result], str]) -> list[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for result in found:
        names[describe(result)].append(f"`{result['name']}`")
    largest = sorted(names, key=lambda text: (-len(names[text]), text))
    if len(largest) == 1:
        return [f"{title}: {largest[0]}."]
    rest = [f"{title}: {text}: {', '.join(names[text])}." for text in largest[1:]]
    return [f"{title}: {largest[0]}: all other results.", *rest] if largest else []


def _commits(result: Result) -> str:
    return _of_seeds(result, "commit", commit)


def _machines(result: Result) -> str:
    return _of_seeds(result, "environment", _machine)


def _of_seeds(result: Result, key: str, describe: Callable[[Mapping[str, Any]], str]) -> str:
    """What describes a result; of seeds that were made otherwise too, each with its seeds."""
    seeds: dict[str, list[str]] = defaultdict(list)
    for run in result["runs"]:
        seeds[describe({key: run.get(key) or result[key]})].append(str(run["seed"]))
    if len(seeds) == 1:
        return next(iter(seeds))
    return "; ".join(f"{text} (seed {', '.join(own)})" for text, own in seeds.items())


def _machine(result: Mapping[str, Any]) -> str:
    labels = {"device": "{}", "cpu": "{}", "threads": "{} threads", "precision": "{}"}
    labels |= {key: f"{key} {{}}" for key in ("python", "torch", "transformers")}
    environment = result["environment"]
    values = [labels[key].format(environment[key]) for key in labels if environment.get(key)]
    return ", ".join(dict.fromkeys(values))


def _seeds(result: Result) -> str:
    seeds = [str(run["seed"]) for run in result["runs"]]
    several = f" ({len(seeds)} runs, mean ± sample standard deviation)" if len(seeds) > 1 else ""
    return ", ".join(seeds) + several


def _train_rows(result: Result) -> str:
    return " or ".join(dict.fromkeys(f"{run['rows']:,}" for run in result["runs"]))


def _subset(result: Result) -> str:
    parts = (result.get("subset") or {}).items()
    return ", ".join(f"{split} {rows:,} of {every:,}" for split, (rows, every) in parts) or "all"
