"""A search on dev: what it writes, what it leaves unread, what it refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery import files, paths, results
from distillery.cli import main
from distillery.preprocessing import store

DISTIL = ["distil", "--task", "smoke", "--teacher", "tiny", "--student", "bag"]
GRID = ["--search", "learning-rate=1e-3,1e-2", "--search", "epochs=1,2"]


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
    path = paths.results(local=True) / "search" / "distil_bag_tiny_smoke.json"
    found = files.read_json(path)
    assert found["split"] == "dev"
    assert set(found["trials"]) == {
        f"learning-rate={rate} epochs={epochs}" for rate in ("1e-3", "1e-2") for epochs in (1, 2)
    }
    for label, trial in found["trials"].items():
        assert f"epochs={trial['epochs']}" in label
        assert trial["recipe"]["phases"][0]["epochs"] == trial["epochs"]
        assert len(trial["history"]) == trial["epochs"]
        assert set(trial["commit"]) == {"head", "dirty"}
        assert trial["environment"]["precision"] in ("fp32", "bf16")
    lines = path.with_suffix(".txt").read_text().splitlines()[1:]
    assert [line[:6] for line in lines] == sorted((line[:6] for line in lines), reverse=True)
    made = found["trials"]["learning-rate=1e-3 epochs=1"]["commit"]
    # A second search adds to the first; what was tried is not trained again.
    caplog.set_level("INFO")
    assert main([*DISTIL, "--batch-size", "16", "--search", "epochs=1"]) == 0
    assert "batch-size=16 epochs=1" in files.read_json(path)["trials"]
    caplog.clear()
    assert main([*DISTIL, *GRID]) == 0
    assert "epoch 1 of" not in caplog.text
    assert files.read_json(path)["trials"]["learning-rate=1e-3 epochs=1"]["commit"] == made
    assert len(files.read_json(path)["trials"]) == 5


def test_trials_on_other_rows_go(smoke_copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main([*DISTIL, "--search", "epochs=1,2"]) == 0
    path = paths.results(local=True) / "search" / "distil_bag_tiny_smoke.json"
    found = files.read_json(path)
    found["trials"]["epochs=1"]["inputs"]["smoke/dev.parquet"] = "another"
    files.write_json(path, found)
    assert main([*DISTIL, "--search", "learning-rate=1e-3"]) == 0
    assert set(files.read_json(path)["trials"]) == {"epochs=2", "learning-rate=1e-3"}
    assert "1 trials on other inputs" in caplog.text


def test_a_run_of_a_tried_recipe_gives_what_the_search_said(smoke_copy: Path) -> None:
    assert main([*DISTIL, "--search", "learning-rate=2e-2,1e-3"]) == 0
    assert main([*DISTIL, "--variant", "chosen", "--learning-rate", "2e-2"]) == 0
    folder = paths.results(local=True)
    tried = files.read_json(folder / "search" / "distil_bag_tiny_smoke.json")["trials"]
    chosen = results.read(results.json_path(folder, "distil_bag_tiny_smoke.chosen"))
    assert chosen["runs"][0]["history"] == tried["learning-rate=2e-2"]["history"]


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
