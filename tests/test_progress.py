"""Progress where there is a terminal and where there is none."""

import io
import sys
from collections.abc import Callable, Iterator

import pytest

from distillery import progress


class Screen(io.StringIO):
    """What is written to stderr; a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


Use = Callable[[bool], Screen]


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Use:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.delenv("RANK", raising=False)

    def use(terminal: bool) -> Screen:
        screen = Screen(terminal)
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return use


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that moves only when a test advances it."""
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def work(clock: Callable[[float], None], seconds: float, steps: int) -> None:
    bar = progress.bar(total=steps, desc="training", unit=" steps", disable=False)
    for step in range(steps):
        clock(seconds / steps)
        bar.set_postfix(loss=f"{step / 10:.1f}", refresh=False)
        bar.update()
    bar.close()


def test_without_a_terminal_there_is_a_line_at_intervals(
    stderr: Use, clock: Callable[[float], None]
) -> None:
    screen = stderr(False)
    work(clock, 80.0, 80)
    assert screen.getvalue().splitlines() == [
        "training: 38 % of 80 steps, 1.00 steps/s, 00:50 left, loss=2.9",
        "training: 75 % of 80 steps, 1.00 steps/s, 00:20 left, loss=5.9",
    ]


def test_without_a_terminal_short_work_prints_nothing(
    stderr: Use, clock: Callable[[float], None]
) -> None:
    screen = stderr(False)
    work(clock, 29.0, 1000)
    assert screen.getvalue() == ""


def test_without_a_total_a_line_counts(stderr: Use, clock: Callable[[float], None]) -> None:
    screen = stderr(False)

    def rows() -> Iterator[int]:
        for row in range(70):
            clock(1.0)
            yield row

    assert sum(progress.bar(rows(), desc="reading", unit=" rows")) == sum(range(70))
    assert screen.getvalue().splitlines() == [
        "reading: 30 rows, 1.00 rows/s",
        "reading: 60 rows, 1.00 rows/s",
    ]


def test_on_a_terminal_the_bar_is_redrawn_in_place(
    stderr: Use, clock: Callable[[float], None]
) -> None:
    screen = stderr(True)
    work(clock, 5.0, 10)
    assert screen.getvalue().count("\r") > 5
    assert "100%|" in screen.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_of_several_processes_the_first_alone_shows_progress(
    stderr: Use,
    clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    screen = stderr(terminal)
    monkeypatch.setenv("RANK", "1")
    work(clock, 100.0, 100)
    assert screen.getvalue() == ""
    monkeypatch.setenv("RANK", "0")
    work(clock, 100.0, 100)
    assert "training" in screen.getvalue()
