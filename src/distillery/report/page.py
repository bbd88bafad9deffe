"""The page: a folder of results in, its README.md and a picture per task out."""

from collections.abc import Collection
from pathlib import Path

from distillery import files
from distillery.errors import UserError
from distillery.report import ablation, plot, speed, statistics, table
from distillery.report.rows import of_task
from distillery.report.statistics import Evidence
from distillery.results import read_all

NOTE = (
    "_Made by `scripts/distillery report` from the JSON files in this folder: do not edit by hand._"
)
SYNTHETIC = (
    "**The data of this task are synthetic: the figures show that the stages work and say nothing "
    "about real text.**"
)
BEGIN, END = "<!-- {what} of {task}, made by distillery report -->", "<!-- end of {what} -->"


def write(folder: Path, synthetic: Collection[str] = (), benchmarks: Path | None = None) -> Path:
    """Writes `folder/README.md` and `folder/<task>.png`, and returns the README's path.

    synthetic: the tasks whose data are made up, which the page says. benchmarks: the folder of
    `bench inference`'s files, each of which joins the section of its task. UserError if there is
    nothing to report.
    """
    results = read_all(folder)
    by_task = {task: of_task(results, task) for task in sorted({r.task for r in results.values()})}
    by_task = {task: found for task, found in by_task.items() if found}
    if not by_task:
        raise UserError(f"{folder}: no results yet; make some: scripts/run_all.sh imdb")
    timed = _timed(benchmarks)
    sections = [NOTE, "# Results"]
    for task, found in by_task.items():
        evidence = Evidence(folder, task)
        blocks = [
            f"## {task}",
            SYNTHETIC if task in synthetic else "",
            f"![{task}: score against parameters]({task}.png)",
            table.markdown(found),
            statistics.markdown(found, evidence),
            ablation.markdown(found, evidence),
            speed.section(timed[task], folder) if task in timed else "",
        ]
        sections += [block.strip() for block in blocks if block]
    for task, found in by_task.items():
        with files.replacing(folder / f"{task}.png") as temporary:
            plot.scores(found, temporary)
        if task in timed:
            speed.write(timed[task])
    readme = folder / "README.md"  # last: it never shows a picture that is not there
    files.write_text(readme, "\n\n".join(sections) + "\n")
    return readme


def _timed(benchmarks: Path | None) -> dict[str, Path]:
    """Task -> the file of `bench inference` in a folder of benchmarks."""
    found = sorted(benchmarks.glob("inference*.json")) if benchmarks else []
    return {files.read_json(path, "task")["task"]: path for path in found}


def update(readme: Path, folder: Path, task: str, benchmarks: Path | None = None) -> None:
    """Puts the task's short table of the results in `folder` between the marks in `readme`, and
    the quoted figures of its benchmark, if there is one; where the marks for it are there."""
    text = readme.read_text(encoding="utf-8")
    text = _between(text, "table", task, table.summary(of_task(read_all(folder), task)))
    if path := _timed(benchmarks).get(task):
        text = _between(text, "speed", task, speed.ratios(files.read_json(path, "ratios")))
    files.write_text(readme, text)


def _between(text: str, what: str, task: str, shown: str) -> str:
    """The text with `shown` between its marks for this; unchanged where they are not there."""
    begin, end = BEGIN.format(what=what, task=task), END.format(what=what)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    return f"{before}{begin}\n{shown}\n{end}{after}" if found and closed else text
