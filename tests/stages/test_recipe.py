"""The recipes in effect, as they are printed."""

from collections.abc import Callable

import pytest

from distillery.cli import main


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[str]]:
    """Option -> value and source."""
    assert main(["recipe", *arguments]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line[0] == " "]
    return {option: rest for option, *rest in lines}


def test_each_value_has_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "--task", "imdb", "--student", "bilstm")
    assert found["learning-rate"] == ["0.002", "imdb.py"]
    assert found["head"] == ["0.25", "imdb.py"]
    assert found["losses"] == ["labels:1", "default.py"]
    assert found["embeddings"] == ["encoder", "default.py"]
    assert found["hidden-size"] == ["256", "SequenceRecipe"]
    assert found["warmup"] == ["0.1", "Phase"]


def test_phases_are_numbered_as_in_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("--task", "sst2", "--teacher", "bert,minilm", "--student", "bert_tiny")
    found = printed(capsys, *names)
    assert found["phase2-splits"] == ["train,unlabeled,augmented", "sst2.py"]
    assert found["phase2-losses"] == ["mse:1", "default.py"]
    assert found["start"] == ["auto", "BertStudentRecipe"]


def test_without_names_the_recipes_of_the_task_itself(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "--task", "smoke")
    assert found["teachers"] == ["tiny", "smoke.py"]
    assert found["dev-rows"] == ["32", "smoke.py"]
    assert found["embedding-bits"] == ["8", "QuantizationRecipe"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "imbd"], "unknown task 'imbd'"),
        (["--task", "imdb", "--student", "lstm"], "unknown student 'lstm'"),
        (["--task", "imdb", "--teacher", "A B"], "teacher 'a b' cannot be a file's name"),
    ],
)
def test_unknown_names_are_refused(
    refused: Callable[..., str], arguments: list[str], said: str
) -> None:
    assert said in refused("recipe", *arguments)
