"""The page: a folder of results in, its README.md and a picture per task out."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from distillery import files, recipes
from distillery.errors import UserError
from distillery.report import ablation, speed, statistics, table
from distillery.report.evidence import Evidence
from distillery.report.plot import plot
from distillery.report.table import main_metric, of_task, summary
from distillery.results import read_all

NOTE = (
    "_Made by `scripts/distillery report` from the JSON files in this folder: do not edit by hand._"
)
SYNTHETIC = (
    "**The data of this task are synthetic: the figures show that the stages work and say nothing "
    "about real text.**"
)


def write(folder: Path, synthetic: Collection[str] = (), benchmarks: Path | None = None) -> Path:
    """Write `folder/README.md` and `folder/<task>.png`, and give back the README's path.

    synthetic: the tasks whose data are made up, which the page says. benchmarks: the folder of
    `bench inference`'s files, each of which joins the section of its task. UserError if there is
    nothing to report.
    """
    results = read_all(folder)
    known = sorted({result["task"] for result in results.values()})
    wanted = [task for task in known if of_task(results, task)]
    if not wanted:
        raise UserError(f"{folder}: no results yet; make some: scripts/run_all.sh imdb")
    timed = _timed(benchmarks)
    sections = [NOTE, "# Results"]
    for task in wanted:
        warning = [SYNTHETIC] if task in synthetic else []
        picture = f"![{task}: score against parameters]({task}.png)"
        students, evidence = recipes.plan(task).students, Evidence(folder, task)
        found = of_task(results, task)
        blocks = [
            table.markdown(results, task, students),
            statistics.markdown(results, task, students, evidence),
            ablation.markdown(found, main_metric(found)[0], evidence),
        ]
        texts = [block.strip() for block in blocks if block]
        sections += [f"## {task}", *warning, picture, *texts]
        if task in timed:
            sections.append(speed.section(timed[task], folder))
    # The page is written last: it never shows a picture that is not there.
    for task in wanted:
        with files.replacing(folder / f"{task}.png") as temporary:
            plot(results, task, temporary)
    for task in set(timed).intersection(wanted):
        speed.write(timed[task])
    readme = folder / "README.md"
    files.write_text(readme, "\n\n".join(sections) + "\n")
    return readme


def _timed(benchmarks: Path | None) -> dict[str, Path]:
    """Task -> the file of `bench inference` in a folder of benchmarks."""
    found = sorted(benchmarks.glob("inference*.json")) if benchmarks else []
    return {files.read_json(path, "task")["task"]: path for path in found}


BEGIN, END = "<!-- {what} of {task}, made by distillery report -->", "<!-- end of {what} -->"


def update(readme: Path, folder: Path, task: str, benchmarks: Path | None = None) -> None:
    """Puts the task's short table of the results in `folder` between the marks in `readme`, and
    what is quoted of its benchmark, if there is one; where the marks for it are there."""
    text = readme.read_text(encoding="utf-8")
    short = summary(read_all(folder), task, recipes.plan(task).students)
    text = _between(text, "table", task, short)
    if path := _timed(benchmarks).get(task):
        shown = speed.ratios(files.read_json(path, "ratios"))
        text = _between(text, "speed", task, shown)
    files.write_text(readme, text)


def _between(text: str, what: str, task: str, shown: str) -> str:
    """The text with `shown` between its marks for this; unchanged where they are not there."""
    begin, end = BEGIN.format(what=what, task=task), END.format(what=what)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    return f"{before}{begin}\n{shown}\n{end}{after}" if found and closed else text
