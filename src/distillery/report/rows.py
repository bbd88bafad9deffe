"""Which results stand together in a task's tables and picture. Reads no file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from distillery import kinds
from distillery.errors import UserError
from distillery.results import Result


@dataclass(frozen=True)
class Row:
    """One line of a teacher's table; a result is None where it was not run.

    title: as tables show it. single: the student trained on labels only, or the one result of a
    teacher or a baseline. teacher: None where the task has none yet.
    """

    stage: str  # "teacher", "baseline" or "student"
    title: str
    teacher: str | None
    single: Result | None
    distilled: Result | None

    @property
    def results(self) -> list[Result]:
        return [result for result in (self.single, self.distilled) if result]


def of_task(results: Mapping[str, Result], task: str) -> list[Result]:
    """The task's results on the test split, by name."""
    found = (results[name] for name in sorted(results))
    return [result for result in found if result.task == task and result.split == "test"]


def find(found: Iterable[Result], **wanted: str | None) -> Result | None:
    """The first result without a variant that has these fields, or None."""
    fields = {"variant": None, **wanted}
    matches = (r for r in found if all(getattr(r, key) == fields[key] for key in fields))
    return next(matches, None)


def teachers(found: Iterable[Result]) -> list[str]:
    """The teachers that were trained or distilled from, in alphabetical order."""
    return sorted({str(r.teacher) for r in found if r.stage in ("teacher", "distillation")})


def students(found: Iterable[Result]) -> list[str]:
    """The students that were trained, from small to large."""
    sizes: dict[str, int] = {}
    for result in found:
        if result.stage in ("student", "distillation") and not result.variant:
            sizes.setdefault(str(result.student), result.parameters or 0)
    return sorted(sizes, key=lambda name: (sizes[name], name))


def main_metric(found: Sequence[Result]) -> tuple[str, int]:
    """The task's main metric and number of test rows, by its teacher. UserError if a result lacks
    that metric."""
    reference = next((r for r in found if r.stage == "teacher"), found[0])
    for result in found:
        if reference.metric not in result.metrics:
            has = ", ".join(result.metrics)
            raise UserError(f"{result.name} has no {reference.metric} to compare, only {has}")
    return reference.metric, reference.n


def rows(found: Sequence[Result]) -> list[Row]:
    """The lines of the task's tables: per teacher the teacher, the baselines, every student."""
    lines = []
    baselines = kinds.get(found[0].kind).baselines
    names: list[str | None] = [*teachers(found)]
    for teacher in names or [None]:
        result = find(found, stage="teacher", teacher=teacher)
        lines.append(Row("teacher", f"`{teacher}` (teacher)", teacher, result, None))
        for name, title in baselines.items():
            result = find(found, stage="baseline", baseline=name)
            lines.append(Row("baseline", title, teacher, result, None))
        for name in students(found):
            single = find(found, stage="student", student=name)
            distilled = find(found, stage="distillation", student=name, teacher=teacher)
            lines.append(Row("student", f"`{name}`", teacher, single, distilled))
    return [row for row in lines if row.results]
