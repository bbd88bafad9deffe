"""Shared fixtures: folders of a test's own, and the command line in this process or another."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before torch is loaded: with models this small, several threads mostly wait for each other, and
# on a busy machine a test then takes several times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from distillery.cli import main
from tests import warm

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
# However long they take: that depends on what else the computer does.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", untimed, max_examples=100, derandomize=True)
settings.register_profile("fuzz", untimed, max_examples=10_000)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """The suite is of the CPU, also where there is a GPU: that one's tests are `make test-gpu`."""
    if config.getoption("markexpr") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["DISTILLERY_PRECISION"] = "fp32"  # the same models on every CPU


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


@dataclass(frozen=True)
class WarmPython:
    """Starts Python processes with the large libraries already loaded (`tests/warm.py`).

    path: a program that takes the arguments of `python`, for `subprocess` and shell scripts.
    """

    path: Path
    socket: str

    def start(self, *args: str, log: Path) -> warm.Process:
        """Starts `python ARGS` in a process group of its own; it prints to `log`."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        with Path(os.devnull).open("rb") as nothing, log.open("ab") as file:
            streams = {0: nothing.fileno(), 1: file.fileno(), 2: file.fileno()}
            return warm.Process(self.socket, [*args], streams, environment)

    def clone(self, folder: Path) -> Path:
        """Makes a clone of the repository of `folder`, as far as its scripts need one, in which
        they find this Python."""
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        shutil.copy(ROOT / "download_requirements.sh", folder)
        (folder / "src").symlink_to(ROOT / "src")
        (folder / ".venv/bin").mkdir(parents=True)
        (folder / ".venv/bin/python").symlink_to(self.path)
        return folder


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    with tempfile.TemporaryDirectory(prefix="distillery-") as name:  # short: it names a socket
        socket, python = Path(name) / "socket", Path(name) / "python"
        serve = [sys.executable, warm.__file__, "serve", str(socket), str(python)]
        call = [sys.executable, "-SE", warm.__file__, "call", str(socket)]
        python.write_text(f'#!/bin/sh\nexec {shlex.join(call)} "$@"\n')
        python.chmod(0o755)
        server = subprocess.Popen(
            serve,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert server.stdin and server.stdout
        assert server.stdout.readline() == b"ready\n"
        yield WarmPython(python, str(socket))
        server.stdin.close()
        server.wait()
        server.stdout.close()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder and its tokenizer, made once, for tests that only read."""
    from distillery import encoders

    folder = tmp_path_factory.mktemp("tiny")
    encoders.save_tiny(folder)
    return folder


@pytest.fixture(scope="session")
def students(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> dict[str, Path]:
    """Saved students with random weights, made once for tests that only read: the same one as
    pytorch, onnx and int8; one of pairs; one that gives a number; and one with odd labels."""
    from tests.saved import save

    place = tmp_path_factory.mktemp("students")
    found = {form: save(place / form, tiny_folder, form) for form in ("pytorch", "onnx", "int8")}
    found["pairs"] = save(place / "pairs", tiny_folder, "onnx", pairs=True)
    odd = ("a\tb", "c,d", "e\nf")
    found["regression"] = save(place / "regression", tiny_folder, "onnx", labels=("score",))
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
