"""The command line: its table of commands, and several commands in one process."""

import argparse
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery import commands, encoders, paths, results
from distillery.cli import main
from distillery.stages import predict

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


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_names_a_function_that_takes_what_it_is_given(name: str) -> None:
    command = commands.COMMANDS[name]
    module, function = command.function.split(":")
    expected = ["name" if command.new_task else "task"] if "task" in command.names else []
    expected += ["recipe"] if command.recipe else []
    expected += ["arguments"] if command.options or set(command.names) - {"task"} else []
    imported = importlib.import_module(f"distillery.{module}")
    taken = inspect.signature(getattr(imported, function)).parameters
    assert [parameter.strip("_") for parameter in taken] == expected
    if "--search FIELD=A,B,... *" in command.options:
        assert [*inspect.signature(imported.prepare).parameters] == expected


def test_help_names_the_formats_and_encoders_that_there_are() -> None:
    assert tuple(encoders.NAMED) == commands.FETCHED
    assert f"--format {{{','.join(predict.FORMATS)}}}" in commands.COMMANDS["predict"].options


def test_an_options_kind_follows_from_how_it_is_typed() -> None:
    typed = {
        "text *": "any number",
        "--file FILE": "a path",
        "--top-k K": "a number",
        "--format {a,b}": "one of two",
        "--name NAME *": "repeated",
        "--flag": "set or not",
    }
    parser = argparse.ArgumentParser()
    row = commands.Command("", "x:y", options=typed)
    commands.add_options(row, parser, argparse.Namespace())
    words = ["one", "two", "--file", "f", "--top-k", "3", "--format", "b", "--flag"]
    words += ["--name", "x", "--name", "y"]
    found = vars(parser.parse_args(words))
    expected = {"text": ["one", "two"], "file": Path("f"), "top_k": 3, "format": "b"}
    assert found == {**commands.DEFAULTS, **expected, "name": ["x", "y"], "flag": True}
    with pytest.raises(SystemExit):
        parser.parse_args(["--format", "c"])


def test_help_imports_no_large_library() -> None:
    block = "import sys; sys.modules.update(dict.fromkeys(['numpy', 'torch', 'transformers']))"
    code = f"{block}; from distillery import cli; sys.exit(cli.main(['--help']))"
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT / "src")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "distil " in done.stdout
