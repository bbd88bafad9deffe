"""`predict`: answers as texts come, a line for a line, one-line errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distillery import paths
from distillery.cli import main
from tests.conftest import Refused

Students = dict[str, Path]
COMMAND = [sys.executable, "-m", "distillery", "predict"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(paths.ROOT / "src")}


def start(*arguments: object, **how: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        **how,  # type: ignore[call-overload]
    )


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("form", ["onnx", "pytorch"])
def test_a_line_is_answered_before_the_next_one_is_there(students: Students, form: str) -> None:
    with start(students[form]) as process:
        assert process.stdin and process.stdout
        for text in ("good", "", "bad"):  # a blank line is the empty text
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
            label, share, shown = process.stdout.readline().decode().rstrip("\n").split("\t")
            assert (label in ("bad", "good", "so-so"), shown) == (True, text)
            assert 1 / 3 <= float(share) <= 1
        assert process.communicate() == (b"", b"")
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("form", "spared"),
    [
        ("onnx", {"torch", "transformers", "safetensors", "tqdm", "huggingface_hub"}),
        ("pytorch", {"transformers", "sympy"}),  # sympy: what torch loads late, to compile
    ],
)
def test_a_student_loads_no_package_that_it_does_not_need(
    students: Students, form: str, spared: set[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], students[form], "a film"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert {"numpy", "tokenizers", "onnxruntime"} <= loaded
    heavy = {"pyarrow", "scipy", "sklearn", "accelerate", "datasets", "matplotlib", "onnx"}
    assert not loaded & {*spared, *heavy}


def test_a_reader_that_has_enough_ends_it_quietly(students: Students) -> None:
    with start(students["onnx"]) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"two\n")
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141  # as a shell shows tools that SIGPIPE ends


@pytest.mark.parametrize("closed", [0, 1])
def test_a_closed_stream_is_one_line(students: Students, closed: int) -> None:
    name = ("input", "output")[closed]
    with start(students["onnx"], preexec_fn=lambda: os.close(closed)) as process:
        _, said = process.communicate()
    assert process.returncode == 2
    assert said.decode().startswith(f"distillery: standard {name} is closed")
    assert len(said.splitlines()) == 1


def test_lines_before_one_that_is_not_utf8_are_answered(students: Students) -> None:
    with start(students["onnx"]) as process:
        found, said = process.communicate("für\n".encode() + "très\n".encode("latin1") + b"x\n")
    assert (process.returncode, found.decode().split("\t")[2]) == (2, "für\n")
    assert b"standard input is not UTF-8 (byte 7, in line 2)" in said


def test_an_argument_that_is_not_utf8_is_one_line(students: Students) -> None:
    done = subprocess.run(
        [*COMMAND, os.fsencode(students["onnx"]), b"tr\xe8s"],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"distillery: argument 'tr\\udce8s' is not UTF-8")


def test_texts_are_shown_as_they_are_on_one_line_each(
    students: Students, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["Tr\u00e8s bon\u00a0!", "a\tb\nc", "x\u200c\u200d\u3000y", "if a <b and c> d", " "]
    assert main(["predict", str(students["onnx"]), *texts]) == 0
    assert [line.split("\t", 2)[2] for line in lines(capsys)] == [
        "Tr\u00e8s bon\u00a0!",
        r"a\tb\nc",
        "x\u200c\u200d\u3000y",
        "if a <b and c> d",
        " ",
    ]


def test_odd_labels_break_no_line(students: Students, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(students["odd labels"]), "a", "--top-k", "3"]) == 0
    (line,) = lines(capsys)
    assert {*line.split("\t")[:6:2]} == {r"a\tb", "c,d", r"e\nf"}
    assert main(["predict", str(students["odd labels"]), "a", "--format", "jsonl"]) == 0
    (line,) = lines(capsys)
    assert {*json.loads(line)["scores"]} == {"a\tb", "c,d", "e\nf"}


def test_a_file_and_arguments_are_answered_alike(
    students: Students, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, file = ["the film", "it was bad", "-5 stars"], tmp_path / "texts"
    file.write_text("\n".join(texts))
    for form in ("text", "jsonl"):
        assert main(["predict", str(students["int8"]), "--format", form, "--", *texts]) == 0
        expected = lines(capsys)
        assert main(["predict", str(students["int8"]), "--file", str(file), "--format", form]) == 0
        assert lines(capsys) == expected
        assert len(expected) == 3


def test_pairs_are_two_texts_or_columns(
    students: Students, tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    model, file = students["pairs"], tmp_path / "pairs"
    assert main(["predict", str(model), "a film", "note 1", "the plot", "note 2"]) == 0
    expected = lines(capsys)
    file.write_text("a film\tnote 1\nthe plot\tnote 2\n\nx\ty\n")
    assert "line 3: the model reads pairs, two texts separated by one tab" in refused(
        "predict", model, "--file", file
    )
    file.write_text("a film\tnote 1\nthe plot\tnote 2\n")
    assert main(["predict", str(model), "--file", str(file)]) == 0
    assert lines(capsys) == expected
    assert "reads pairs of texts: give an even number, not 1" in refused("predict", model, "a film")


def test_a_regression_gives_a_number(
    students: Students, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    model = students["regression"]
    assert main(["predict", str(model), "a film", "a plot"]) == 0
    texts = [line.split("\t") for line in lines(capsys)]
    assert [text for _, text in texts] == ["a film", "a plot"]
    assert main(["predict", str(model), "a film", "a plot", "--format", "jsonl"]) == 0
    found = [json.loads(line) for line in lines(capsys)]
    assert [set(answer) for answer in found] == [{"score", "text"}] * 2
    assert [f"{answer['score']:.4f}" for answer in found] == [number for number, _ in texts]
    assert "--top-k 2 is impossible: the model has a single output" in refused(
        "predict", model, "a film", "--top-k", "2"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--top-k", "0", "a"], "--top-k 0 is impossible: 1 or more"),
        (["--format", "csv", "a"], "invalid choice: 'csv'"),
        (["--file", "/nowhere"], "No such file or directory (/nowhere)"),
        (["--file", "/"], "Is a directory (/)"),
        (["--file", "/nowhere", "a"], "give texts or --file, not both"),
    ],
)
def test_what_is_impossible_is_one_line(
    students: Students, refused: Refused, arguments: list[str], said: str
) -> None:
    assert said in refused("predict", students["onnx"], *arguments)
