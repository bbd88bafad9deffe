"""The command line: several commands in one process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery import paths, results
from distillery.cli import main

DATA = ["data", "--task", "smoke"]
BASELINE = ["baseline", "--task", "smoke", "--baseline"]


def test_commands_run_one_after_the_other(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DATA, "--then", *BASELINE, "majority", "--then", *BASELINE, "tfidf"]) == 0
    assert set(results.read_all(paths.results(local=True))) == {"majority_smoke", "tfidf_smoke"}
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("== ")] == [
        "== distillery data --task smoke",
        "== distillery baseline --task smoke --baseline majority",
        "== distillery baseline --task smoke --baseline tfidf",
    ]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["data", "--task", ""], "task '' cannot be a file's name"),
        (["data", "--task", "sm\udcffke"], "argument 'sm\\udcffke' is not UTF-8"),
        (["dataa"], "unknown command 'dataa'"),
    ],
)
def test_the_first_command_that_fails_is_the_last(
    home: Path, refused: Callable[..., str], command: list[str], expected: str
) -> None:
    assert expected in refused(*command, "--then", *DATA)
    assert not paths.manifest("smoke").exists()


@pytest.mark.parametrize("given", [["--then", *DATA], ["--then", "--then", *DATA]])
def test_a_missing_command_fails(home: Path, given: list[str]) -> None:
    assert main(given) == 2
    assert not paths.manifest("smoke").exists()
