"""Shared fixtures: folders of a test's own, and the command line in this process or another."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from distillery.cli import main

ROOT = Path(__file__).resolve().parents[1]
STAGES = (
    "data",
    "teacher --teacher tiny",
    "baseline --baseline majority",
    "baseline --baseline tfidf",
    "baseline --baseline nbsvm",
    "student --student bilstm",
    "student --student attention",
    "student --student bag",
    "distil --teacher tiny --student bilstm",
    "distil --teacher tiny --student attention",
    "distil --teacher tiny --student bag",
    "report",
)

# Examples of tests with hypothesis: a hundred, always the same; `make test-fuzz` draws new ones.
settings.register_profile("suite", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=10_000, deadline=None)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """The suite is of the CPU, also where there is a GPU: that one's tests are `make test-gpu`."""
    if config.getoption("markexpr") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `data` and `results` in it, which the project uses in this test."""
    return _use(tmp_path, monkeypatch)


def _use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILLERY_DATA", str(folder / "data"))
    monkeypatch.setenv("DISTILLERY_RESULTS", str(folder / "results"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture(scope="session")
def smoke_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which stages 1 to 4 and 6 of `smoke` have run once, for tests that only read."""
    folder = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as monkeypatch:
        _use(folder, monkeypatch)
        for command in STAGES:
            assert main([*command.split(), "--task", "smoke"]) == 0
    return folder


@pytest.fixture
def in_smoke_home(smoke_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`smoke_home` as this test's home. It is shared: read it, change nothing."""
    return _use(smoke_home, monkeypatch)


@pytest.fixture
def smoke_copy(smoke_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `smoke_home`, to break."""
    import shutil

    shutil.copytree(smoke_home, tmp_path, dirs_exist_ok=True)
    return _use(tmp_path, monkeypatch)


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must be refused: exit status 2, one line on stderr, which it gives."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
        said = [line for line in lines if line.startswith("distillery:")]
        assert status == 2, f"status {status}: {lines}"
        assert len(said) == 1, lines
        assert "Traceback" not in "\n".join(lines)
        return said[0]

    return run


@pytest.fixture
def spawn() -> Callable[..., subprocess.Popen[bytes]]:
    """Starts the command line in a process group of its own."""

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "distillery", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder and its tokenizer, made once, for tests that only read."""
    from distillery.models import tiny

    folder = tmp_path_factory.mktemp("tiny")
    tiny.save(folder)
    return folder


@pytest.fixture(scope="session")
def students(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> dict[str, Path]:
    """Saved students with random weights, made once, for tests that only read: the same one as
    pytorch, onnx and int8; one that reads pairs; and one with odd labels."""
    from tests.saved import save

    place = tmp_path_factory.mktemp("students")
    found = {form: save(place / form, tiny_folder, form) for form in ("pytorch", "onnx", "int8")}
    found["pairs"] = save(place / "pairs", tiny_folder, "onnx", pairs=True)
    odd = ("a\tb", "c,d", "e\nf")
    found["odd labels"] = save(place / "odd", tiny_folder, "onnx", labels=odd)
    return found


@pytest.fixture
def tagger_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of nltk's tagger, in its layout, that knows the words of smoke."""
    from distillery.tasks import smoke

    tags = dict.fromkeys(smoke.WORDS, "RB")
    tags |= {word: "JJ" for words in smoke._OPINIONS for word in words}
    tags |= dict.fromkeys(smoke._SUBJECTS, "NN")
    tags |= {"the": "DT", "The": "DT", "a": "DT", "was": "VBD", "saw": "VBD"}
    folder = tmp_path / "nltk_data/taggers/averaged_perceptron_tagger_eng"
    folder.mkdir(parents=True)
    parts = {"weights": {}, "tagdict": tags, "classes": sorted({*tags.values()})}
    for name, part in parts.items():
        path = folder / f"averaged_perceptron_tagger_eng.{name}.json"
        path.write_text(json.dumps(part))
    monkeypatch.setattr("nltk.data.path", [str(tmp_path / "nltk_data")])
