"""A file of every kind, cut short or with a bit changed: found and named before it is used."""

import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from distillery import encoders, files, paths, recipes, results, tasks
from distillery.cli import main
from distillery.data import store
from distillery.distillation import signals as teachers
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError
from distillery.runtime.facts import read_facts
from distillery.stages import teacher as stage_2
from distillery.training.checkpoint import Checkpoint, Progress
from tests.faults.pipeline import differences

Refused = Callable[..., str]
STUDENT = ["student", "--task", "smoke", "--student", "bilstm"]
DISTIL = ["distil", "--task", "smoke", "--teacher", "tiny", "--student", "bilstm"]
TEACHER = ["teacher", "--task", "smoke", "--teacher", "tiny"]
FLIPS, CUTS = 40, 10  # of each file


@dataclass(frozen=True)
class Artefact:
    """A file in a home (a pattern that one file matches), and who reads it."""

    pattern: str
    read: Callable[[Path], Any]


def _outputs(path: Path) -> TeacherOutputs:
    return TeacherOutputs("smoke", path.parent.name, "tiny")


def _checkpoint(path: Path) -> Checkpoint:
    model = torch.nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(8)).sum().backward()
    optimizer.step()
    return Checkpoint(path.parent, model, [optimizer])


def _start(_: Path) -> Path:
    recipe = replace(recipes.teacher("smoke", "tiny"), pretraining="task")
    return stage_2.FineTuned(tasks.get("smoke"), recipe, "tiny").folder


def _model(path: Path) -> dict[str, Any]:
    return read_facts(path.parent)


ARTEFACTS = {
    "split": Artefact("data/smoke/train.parquet", lambda _: store.read_split("smoke", "train")),
    "manifest": Artefact("data/smoke/manifest.json", lambda _: store.read_manifest("smoke")),
    "word pieces": Artefact(
        "data/smoke/encoded/*/train-*/pieces.int32",
        lambda path: files.check_folder(path.parent, "tokenizing again"),
    ),
    "recorded outputs": Artefact("data/smoke/outputs/*/000001.safetensors", _outputs),
    "index of outputs": Artefact("data/smoke/outputs/*/index.json", _outputs),
    "checkpoint": Artefact(
        "data/smoke/runs/x/checkpoint.safetensors", lambda path: _checkpoint(path).load("fp32")
    ),
    "best weights": Artefact(
        "data/smoke/runs/x/best.safetensors", lambda path: _checkpoint(path).load_best()
    ),
    "finished seed": Artefact("data/smoke/runs/bilstm_smoke/*/done.json", files.read_json),
    **{
        f"student: {name}": Artefact(f"data/smoke/models/bilstm_smoke/{name}", _model)
        for name in ("model.safetensors", "config.json", "tokenizer.json", "distillery.json")
    },
    "student: manifest.json": Artefact("data/smoke/models/bilstm_smoke/manifest.json", _model),
    "teacher: model.safetensors": Artefact(
        "data/smoke/models/tiny_smoke/model.safetensors",
        lambda _: teachers.find(tasks.get("smoke"), "tiny"),
    ),
    **{
        f"fetched encoder: {name}": Artefact(
            f"data/encoders/tiny/{name}", lambda _: encoders.locate("tiny")
        )
        for name in ("model.safetensors", "config.json", "tokenizer.json")
    },
    "pretrained encoder": Artefact("data/smoke/encoders/tiny/model.safetensors", _start),
    "result": Artefact("results/local/bilstm_smoke.json", lambda path: vars(results.read(path))),
    "predictions": Artefact(
        "results/local/predictions/bilstm_smoke.bits",
        lambda path: results.read(paths.results(local=True) / "bilstm_smoke.json"),
    ),
    "labels of test": Artefact(
        "results/local/predictions/smoke.labels.json",
        lambda path: vars(results.read_labels(path.parent.parent, "smoke")),
    ),
}


@pytest.fixture(scope="module")
def broken_home(smoke_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a file of every kind; each test puts back what it broke."""
    import shutil

    home = tmp_path_factory.mktemp("broken")
    shutil.copytree(smoke_home, home, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILLERY_DATA", str(home / "data"))
        patch.setenv("DISTILLERY_RESULTS", str(home / "results"))
        checkpoint = _checkpoint(home / "data/smoke/runs/x/checkpoint.safetensors")
        checkpoint.save(Progress(step=3, precision="fp32", history=[{"accuracy": 0.5}]))
        checkpoint.save_best()
        with files.replacing_folder(paths.pretrained("smoke", "tiny")) as folder:
            shutil.copytree(paths.encoder("tiny"), folder, dirs_exist_ok=True)
            (folder / files.SUMS).unlink()
        yield home


def _changed(whole: bytes, chance: random.Random) -> Iterator[bytes]:
    for _ in range(FLIPS):
        content = bytearray(whole)
        content[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        yield bytes(content)
    for size in (0, len(whole) // 2, *(chance.randrange(len(whole)) for _ in range(CUTS - 2))):
        yield whole[:size]


def _is_same(before: Any, after: Any) -> bool:
    """Whether what was read of JSON is what it was: spaces, or the checksum's own name, changed."""
    return isinstance(before, dict) and all(after.get(key) == before[key] for key in before)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_every_change_is_found_and_named(
    broken_home: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    artefact = ARTEFACTS[name]
    (path,) = broken_home.glob(artefact.pattern)
    whole, before = path.read_bytes(), artefact.read(path)
    caplog.set_level(logging.WARNING)
    try:
        for content in _changed(whole, random.Random(name)):
            path.write_bytes(content)
            caplog.clear()
            try:
                after = artefact.read(path)
            except UserError as error:
                said = str(error)
            else:
                said = caplog.text
                if not said and _is_same(before, after):
                    continue
            assert path.name in said, f"{name}: {said or 'nothing was said'}"
    finally:
        path.write_bytes(whole)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 0x01
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [_flip, _cut])
@pytest.mark.parametrize(
    ("pattern", "command"),
    [
        ("data/smoke/train.parquet", [*STUDENT, "--force"]),
        ("data/smoke/manifest.json", [*STUDENT, "--force"]),
        ("data/smoke/outputs/*/000000.safetensors", [*DISTIL, "--force"]),
        ("data/smoke/outputs/*/index.json", [*DISTIL, "--force"]),
        ("data/smoke/models/tiny_smoke/tokenizer.json", DISTIL),
        ("data/smoke/models/bilstm_smoke/model.safetensors", ["predict", "MODEL", "a text"]),
        ("data/smoke/models/bilstm_smoke/config.json", ["predict", "MODEL", "a text"]),
        ("data/encoders/tiny/model.safetensors", [*TEACHER, "--force"]),
        ("data/encoders/tiny/tokenizer.json", [*STUDENT, "--force"]),
        ("results/local/bilstm_smoke.json", ["report", "--task", "smoke"]),
        ("results/local/predictions/bilstm_smoke.bits", ["report", "--task", "smoke"]),
    ],
)
def test_a_command_refuses_a_damaged_file_in_one_line(
    smoke_copy: Path,
    refused: Refused,
    pattern: str,
    command: list[str],
    damage: Callable[[Path], None],
) -> None:
    (path,) = smoke_copy.glob(pattern)
    damage(path)
    model = str(paths.model("smoke", "bilstm_smoke"))
    assert path.name in refused(*(model if word == "MODEL" else word for word in command))


@pytest.mark.parametrize(
    "pattern",
    [
        "data/smoke/encoded/*/train-*/pieces.int32",
        "data/smoke/models/bilstm_smoke/tokenizer.json",
        "data/smoke/runs/bilstm_smoke/*/predictions.npy",
        "results/local/bilstm_smoke.json",
        "results/local/predictions/bilstm_smoke.bits",
    ],
)
def test_what_the_stage_can_make_again_it_makes_again_to_the_same(
    smoke_home: Path, smoke_copy: Path, caplog: pytest.LogCaptureFixture, pattern: str
) -> None:
    for path in smoke_copy.glob(pattern):
        _flip(path)
    if "encoded" in pattern or "runs" in pattern:  # else they would not be looked at
        results.json_path(paths.results(local=True), "bilstm_smoke").unlink()
    if "encoded" in pattern:
        for done in (smoke_copy / "data/smoke/runs/bilstm_smoke").rglob("done.json"):
            done.unlink()
    caplog.set_level(logging.INFO)
    assert main(STUDENT) == 0
    assert path.name in caplog.text or "models" in pattern
    assert differences(smoke_home, smoke_copy) == []
