"""Kills the stages of `smoke` at random moments and compares what they end with.

    python -m tests.faults.kill --runs 30 --seed 0

First the stages run undisturbed; the CPU time at which each begins to write and at which it ends
is noted. A moment is uniform over that working time of all stages: a number from 0 to 1 names a
stage and a CPU time in it, on any machine. The stage is started, its process group is killed
there (SIGKILL or SIGTERM, by chance), and it is started again. After at most ten kills the last
stage has ended, and every file is compared, bit for bit, with the undisturbed run's.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults import pipeline
from tests.faults.pipeline import STAGES, Stage

KILLS_PER_PASS = 10


@dataclass(frozen=True)
class Timed:
    """A stage, and the CPU seconds at which it begins to write and at which it ends."""

    stage: Stage
    begin: float
    end: float


@dataclass(frozen=True)
class Moment:
    """A number from 0 to 1, and the stage and CPU time that it means."""

    share: float
    stage: Stage
    cpu: float
    how: signal.Signals


def undisturbed(home: Path) -> list[Timed]:
    """Runs every stage and notes its times."""
    return [_timed(stage, home) for stage in STAGES]


def _timed(stage: Stage, home: Path) -> Timed:
    before = _state(home)
    begin, end = 0.0, 0.0
    process = pipeline.start(stage.command, home)

    def note() -> bool:
        nonlocal begin, end
        end = max(end, pipeline.cpu_seconds(process.pid))
        if not begin and _state(home) != before:
            begin = end
        return False

    pipeline.watch(process, note)
    assert process.returncode == 0, f"{stage.name} failed undisturbed: see {home / 'log'}"
    print(f"undisturbed {stage.name}: writes from {begin:.2f} to {end:.2f} s of CPU", flush=True)
    return Timed(stage, begin, end)


def _state(home: Path) -> dict[str, int]:
    """Every file of a home with its time of change; a file may go while this looks."""
    found = {}
    for folder, _, names in os.walk(home):
        for name in names:
            path = Path(folder, name)
            if name != "log" and path.exists():
                found[str(path)] = path.stat().st_mtime_ns
    return found


def moments(timed: list[Timed], seed: int, number: int, count: int) -> list[Moment]:
    """The moments of a pass, in the order of the stages: the same for the same seed."""
    chance = random.Random(f"{seed}-{number}")
    shares = sorted(chance.random() for _ in range(count))
    ways = (signal.SIGKILL, signal.SIGTERM)
    return [Moment(share, *_place(timed, share), chance.choice(ways)) for share in shares]


def _place(timed: list[Timed], share: float) -> tuple[Stage, float]:
    left = share * sum(one.end - one.begin for one in timed)
    for one in timed:
        if left <= one.end - one.begin:
            return one.stage, one.begin + left
        left -= one.end - one.begin
    return timed[-1].stage, timed[-1].end


def one_pass(home: Path, chosen: list[Moment]) -> Iterator[tuple[Moment, str]]:
    """Runs every stage in `home`, killed at the moments chosen; gives each kill and what it left.

    A stage that ends before its moment (started again, it has less to do) is not killed.
    """
    for stage in STAGES:
        for moment in (moment for moment in chosen if moment.stage == stage):
            before = _state(home)
            process = pipeline.start(stage.command, home)
            if pipeline.watch(process, lambda: pipeline.cpu_seconds(process.pid) >= moment.cpu):  # noqa: B023
                pipeline.kill(process, moment.how)
                yield moment, _left(home, before)
        pipeline.finish(stage, home)


def _left(home: Path, before: dict[str, int]) -> str:
    """What a killed stage had written: names of new or changed files, without folders."""
    changed = (name for name, time in _state(home).items() if before.get(name) != time)
    kept = (Path(name) for name in changed if not name.endswith(".lock"))
    return ", ".join(sorted({path.name.split(".tfevents")[0] for path in kept})) or "nothing"


def compare(reference: Path, home: Path) -> None:
    """Ends the program where two homes differ or a temporary file was left."""
    differ = pipeline.differences(reference, home)
    left = [str(path) for path in home.rglob("*.partial")]
    if differ or left:
        sys.exit(f"killed and undisturbed differ in {differ}, left are {left}; kept in {home}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30, help="kills to survive")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and signals")
    parser.add_argument("--table", type=Path, help="Markdown file for the log of the kills")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="distillery-kill-"))
    timed = undisturbed(place / "undisturbed")
    lines: list[str] = []
    number = 0
    while len(lines) < options.runs:
        home = place / f"pass{number}"
        count = min(KILLS_PER_PASS, options.runs - len(lines))
        for moment, left in one_pass(home, moments(timed, options.seed, number, count)):
            words = (moment.how.name, moment.stage.name, f"{moment.cpu:.2f}", left)
            lines.append(
                f"| {len(lines) + 1} | {number} | {moment.share:.4f} | {' | '.join(words)} |"
            )
            print(f"killed {lines[-1]}", flush=True)
        compare(place / "undisturbed", home)
        print(f"pass {number}: the same files as undisturbed", flush=True)
        shutil.rmtree(home)
        number += 1
    head = f"{len(lines)} of {options.runs} kills survived, seed {options.seed}, {number} passes"
    print(head)
    if options.table:
        _write_table(options.table, head, options.seed, lines)
    shutil.rmtree(place)


def _write_table(path: Path, head: str, seed: int, lines: list[str]) -> None:
    columns = ("kill", "pass", "moment", "signal", "stage", "CPU s", "written when it was killed")
    text = [
        "# Kills",
        "",
        f"Made by `make test-kill RUNS={len(lines)} SEED={seed}`: {head}. A moment is a share of"
        " the working time of all stages; CPU s says where in its stage that was.",
        "",
        f"| {' | '.join(columns)} |",
        "| ---: | ---: | ---: | :--- | :--- | ---: | :--- |",
        *lines,
    ]
    path.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
