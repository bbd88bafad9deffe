"""The benchmark's own arithmetic, and that its contenders run; no time is asserted."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import training, turns
from benchmarks.training import STUDENTS
from benchmarks.training_report import report
from distillery import encoders, files, recipes
from tests.conftest import WarmPython

ROOT = Path(__file__).resolve().parents[2]


def test_flops_of_minilm_are_those_of_its_matmuls(tmp_path: Path) -> None:
    """6 layers, 384 wide, 1536 inside: 10.6 million weights, each used twice forward, four times
    backward; scores and mixtures are T x T x 384 each."""
    config = {"num_hidden_layers": 6, "hidden_size": 384, "intermediate_size": 1536}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = 6 * (4 * 384 * 384 + 2 * 384 * 1536)
    found = training.matmul_flops("teacher", tmp_path, 256.0, 256.0**2)
    assert found == 6 * (weights * 256 + 6 * 2 * 256 * 256 * 384)
    assert training.matmul_flops("bilstm", tmp_path, 1.0, 1.0) == 6 * 2 * 4 * 128 * (128 + 128)


def test_the_teachers_flops_are_counted_where_it_runs() -> None:
    assert training.flops_of("expert", 5.0, 7.0) == 12.0
    assert training.flops_of("padded bf16", 5.0, 7.0) == 5.0
    assert training.flops_of("recording", 5.0, 7.0) == 7.0
    assert training.flops_of("default", None, 0.0) is None


@pytest.mark.parametrize("name", ["training", "training_gpu"])
def test_the_committed_page_is_that_of_its_figures(name: str) -> None:
    found = files.read_json(ROOT / f"benchmarks/{name}.json")
    assert (ROOT / f"benchmarks/{name}.md").read_text() == report(found)


def test_groups_of_a_gpu_read_fewer_rows_than_imdb_has() -> None:
    every = training.on_gpu(4, lambda steps: steps)
    assert training.TEACHERS[1] == every[0].kind == "bert-base"
    assert max(group.all_steps * group.batch_size for group in every) <= 22_000
    assert len({group.name for group in every}) == len(every)


def test_ratios_are_quotients_of_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    def contenders(**rates: float) -> dict[str, dict[str, float]]:
        return {
            name.replace("_", " "): {"rows_per_second": rate, "share_of_peak": 0.25}
            for name, rate in rates.items()
        }

    groups = {
        "teacher": ("teacher", False, contenders(default=1, bf16=2, expert=4, ours=10)),
        "bert2": ("bert2", True, contenders(default=2, bf16=4, expert=5, ours=50, recording=20)),
        "bigru": (
            *("bigru", True),
            contenders(default=5, padded=20, padded_bf16=25, packed=10, ours=100),
        ),
        "bilstm": (
            *("bilstm", True),
            contenders(default=5, padded=20, padded_bf16=40, packed=10, ours=100),
        ),
        **{
            f"{student} on labels": (student, False, contenders(default=10, ours=100))
            for student in STUDENTS
        },
    }
    found = {
        "groups": {
            title: {
                "name": f"{kind} on labels" if kind != "teacher" and not distils else kind,
                "contenders": ways,
            }
            for title, (kind, distils, ways) in groups.items()
        }
    }
    rows = {"train": 1000, "unlabeled": 2000, "dev": 100, "test": 500}
    monkeypatch.setattr(training.store, "read_manifest", lambda task: {"rows": rows})
    monkeypatch.setattr(training.store, "read_augmented_manifest", lambda task: {"rows": 900})
    monkeypatch.setattr(recipes, "needs_augmentation", lambda task: True)
    ratio = training.ratios(found, "imdb")
    assert ratio["teacher_vs_trainer_default"] == pytest.approx(10)
    assert ratio["teacher_vs_trainer_expert"] == pytest.approx(2.5)
    assert ratio["teacher_mfu"] == 0.25
    assert ratio["distil_bert_per_epoch"] == pytest.approx(25)
    assert ratio["distil_bert_5_epochs_with_recording"] == pytest.approx(2.5 / (5 / 50 + 1 / 20))
    assert ratio["bigru_vs_nn_gru"] == pytest.approx(4)
    assert ratio["bilstm_vs_nn_lstm"] == pytest.approx(2.5)
    single = sum(
        phase.epochs * 1000 for s in STUDENTS for phase in recipes.student("imdb", s).phases
    )
    distilled = sum(
        phase.epochs * sum({**rows, "augmented": 900}[split] for split in phase.splits)
        for s in STUDENTS
        for phase in recipes.distillation("imdb", s, "minilm").phases
    )
    epochs = recipes.teacher("imdb", "minilm").epochs
    usual = epochs * 1000 / 1 + single / 10 + distilled * (1 / 10 + (1 / 5 - 1 / 10))
    ours = epochs * 1000 / 10 + (3100 + 900) / 20 + (single + distilled) / 100
    assert ratio["table_vs_usual_way"] == pytest.approx(usual / ours)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--task", "none", "--out", "."], "task none has no splits"),
        (["--task", "smoke", "--rounds", "0", "--out", "."], "--rounds is 1 or more"),
        (["--task", "smoke", "--only", "bert3", "--out", "."], "unknown kind 'bert3'"),
        (["--task", "smoke", "--out", "."], "are needed"),
        (["--out", "nowhere"], "nowhere does not exist"),
        (["--scale", "0.01"], "with --scale it is another benchmark"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_line(
    in_smoke_home: Path,
    options: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    assert training.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


@pytest.mark.parametrize("way", ["default", "expert", "ours", "packed", "recording"])
def test_a_contender_works_in_turns(
    in_smoke_home: Path, warm_python: WarmPython, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {
        **{"name": way, "kind": "bigru", "way": way, "seed": 0, "batch_size": 8, "rows": 32},
        **{"task": "smoke", "encoder": "tiny", "dev_rows": 16, "length": 32, "steps": 4},
        "turns": [1, 1, 1, 1],
        **{"learning_rate": 1e-3, "precision": "fp32", "recorded": None},
        "teacher": str(encoders.locate("tiny")) if way == "recording" else None,
        "save": None,
    }
    command = [str(warm_python.path), "-m", "benchmarks.contenders", json.dumps(facts)]
    contender = turns.Contender(way, command)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    turns.run([contender], warm=1, rounds=2, steps=1)
    assert len(contender.seconds) == 2
    assert all(seconds > 0 for seconds in contender.seconds)
    assert contender.facts["parameters"] > 0
    if way != "recording":
        assert 0 <= contender.facts["dev_accuracy"] <= 1
