"""A search on dev: what it writes, what it leaves unread, what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery import files, paths, results
from distillery.cli import main
from distillery.data import store

DISTIL = ["distil", "--task", "smoke", "--teacher", "tiny", "--student", "bag"]


def _table() -> Path:
    return paths.results(local=True) / "search" / "distil_bag_tiny_smoke.json"


GRID = ["--search", "learning-rate=1e-3,1e-2", "--search", "epochs=1,2"]


def _trials(path: Path) -> dict[tuple[float, int, int, int], dict[str, Any]]:
    """(learning rate, epochs, batch size, seed) -> trial."""
    trials = files.read_json(path)["trials"].values()
    phases = [trial["recipe"]["phases"][0] for trial in trials]
    return {
        (phase["learning_rate"], phase["epochs"], phase["batch_size"], trial["seed"]): trial
        for phase, trial in zip(phases, trials, strict=True)
    }


def test_every_combination_is_tried_on_dev_alone(
    smoke_copy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = store.read_split

    def without_test(task: str, name: str) -> store.Split:
        assert name != "test"
        return read(task, name)

    monkeypatch.setattr(store, "read_split", without_test)
    before = set(results.read_all(paths.results(local=True)))
    assert main([*DISTIL, *GRID]) == 0
    assert set(results.read_all(paths.results(local=True))) == before
    assert files.read_json(_table())["split"] == "dev"
    found = _trials(_table())
    assert set(found) == {(rate, epochs, 32, 0) for rate in (1e-3, 1e-2) for epochs in (1, 2)}
    for (_, epochs, _, _), trial in found.items():
        assert trial["epochs"] == len(trial["history"]) == epochs
        assert set(trial["commit"]) == {"head", "dirty"}
        assert trial["environment"]["precision"] in ("fp32", "bf16")
    made = found[1e-3, 1, 32, 0]["commit"]
    # A second search adds to the first; what was tried is not trained again.
    caplog.set_level("INFO")
    assert main([*DISTIL, "--batch-size", "16", "--search", "epochs=1"]) == 0
    assert {batch for _, _, batch, _ in _trials(_table())} == {32, 16}
    caplog.clear()
    assert main([*DISTIL, *GRID]) == 0
    assert "epoch 1 of" not in caplog.text
    assert _trials(_table())[1e-3, 1, 32, 0]["commit"] == made
    assert len(_trials(_table())) == 5


def test_the_table_has_what_differs_and_the_mean_of_seeds(smoke_copy: Path) -> None:
    assert main([*DISTIL, "--seeds", "2", "--search", "epochs=1,2"]) == 0
    assert set(_trials(_table())) == {
        (0.005, epochs, 32, seed) for epochs in (1, 2) for seed in (0, 1)
    }
    lines = _table().with_suffix(".txt").read_text().splitlines()[1:]
    assert sorted(line[6:] for line in lines) == ["  0,1  epochs=1", "  0,1  epochs=2"]
    assert lines[0][:6] >= lines[1][:6]
    scores = [
        trial["dev"]["accuracy"] for (_, n, _, _), trial in _trials(_table()).items() if n == 2
    ]
    assert f"{sum(scores) / 2:.4f}  0,1  epochs=2" in lines
    assert main([*DISTIL, "--search", "dropout=0.1"]) == 0
    lines = _table().with_suffix(".txt").read_text().splitlines()[1:]
    assert any(line.endswith("dropout=0.0 epochs=2") for line in lines), lines


def test_trials_on_other_rows_go(smoke_copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main([*DISTIL, "--search", "epochs=1,2"]) == 0
    found = files.read_json(_table())
    next(iter(found["trials"].values()))["inputs"]["smoke/dev.parquet"] = "another"
    files.write_json(_table(), found)
    assert main([*DISTIL, "--search", "learning-rate=1e-3"]) == 0
    assert {(rate, epochs) for rate, epochs, _, _ in _trials(_table())} == {(0.005, 2), (1e-3, 4)}
    assert "1 trials go, on other inputs" in caplog.text
    found = files.read_json(_table())
    del next(iter(found["trials"].values()))["inputs"]  # nobody knows what it read
    files.write_json(_table(), found)
    assert main([*DISTIL, "--search", "learning-rate=1e-3"]) == 0
    assert len(_trials(_table())) == 1
    lines = _table().with_suffix(".txt").read_text().splitlines()
    assert lines[0].endswith("recipe; the task's own: learning-rate=0.005")
    assert lines[1].endswith("  0  learning-rate=0.001")


def test_a_run_of_a_tried_recipe_gives_what_the_search_said(
    smoke_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([*DISTIL, "--search", "learning-rate=2e-2,1e-3"]) == 0
    assert main([*DISTIL, "--variant", "chosen", "--learning-rate", "2e-2"]) == 0
    caplog.set_level("INFO")
    assert main([*DISTIL, "--search", "learning-rate=5e-3"]) == 0  # the planned one, run before
    assert "epoch 1 of" not in caplog.text
    chosen = results.read(_table().parents[1] / "distil_bag_tiny_smoke.chosen.json")
    tried = {rate: trial for (rate, *_), trial in _trials(_table()).items()}
    assert chosen.runs[0]["history"] == tried[2e-2]["history"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--search", "learning-rates=1,2"], "unrecognized arguments: --learning-rates"),
        (["--search", "learning-rate"], "'learning-rate' is not of the form FIELD=VALUE"),
        (["--search", "epochs=1,"], "'epochs=1,' is not of the form"),
        (["--search", "epochs=0,1"], "epochs 0 is impossible"),
        (["--search", "epochs=one"], "invalid int value"),
        (["--search", "epochs=1", "--variant", "x"], "a search makes no result"),
        (["--search", "epochs=1", "--force"], "a search makes no result"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    in_smoke_home: Path, refused: Callable[..., str], options: list[str], said: str
) -> None:
    assert said in refused(*DISTIL, *options)
