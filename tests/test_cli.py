"""The command line: several commands in one process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery import paths, results
from distillery.cli import main


def test_the_commands_of_a_file_run_in_turn(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "commands"
    baseline = "baseline\t--task\tsmoke\t--baseline"
    file.write_text(f"data\t--task\tsmoke\n{baseline}\tmajority\n{baseline}\ttfidf\n")
    assert main([f"@{file}"]) == 0
    assert set(results.read_all(paths.results(local=True))) == {"majority_smoke", "tfidf_smoke"}
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("== ")] == [
        "== distillery data --task smoke",
        "== distillery baseline --task smoke --baseline majority",
        "== distillery baseline --task smoke --baseline tfidf",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"data\t--task\t", "task '' cannot be a file's name"),
        (b"data\t--task\tsm\xc3\xb6ke", "task 'sm\xf6ke' cannot be"),
        (b"data\t--task\tsm\xffke", "argument 'sm\\udcffke' is not UTF-8"),
        (b"dataa", "unknown command 'dataa'"),
    ],
)
def test_the_first_command_that_fails_is_the_last(
    home: Path, tmp_path: Path, refused: Callable[..., str], line: bytes, expected: str
) -> None:
    file = tmp_path / "commands"
    file.write_bytes(line + b"\ndata\t--task\tsmoke\n")
    assert expected in refused(f"@{file}")
    assert not paths.manifest("smoke").exists()


def test_a_file_of_commands_that_is_not_there(home: Path, refused: Callable[..., str]) -> None:
    assert "No such file or directory (nowhere)" in refused("@nowhere")
