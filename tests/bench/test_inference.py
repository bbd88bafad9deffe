"""`bench inference` on smoke: what it says of every row; no time is asserted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distillery import files, paths, results, tasks
from distillery.bench import inference
from distillery.bench.contender import Contender, Texts
from distillery.cli import main
from distillery.data import store
from distillery.errors import UserError
from distillery.kinds import CLASSIFICATION

MODEL = "distil_bilstm_tiny_smoke"


def given(place: Path, **changes: Any) -> dict[str, Any]:
    """What a contender is told; its texts and predictions are written into `place`."""
    test = store.read_split("smoke", "test")
    inference._write_texts(test, place)
    result = results.read(results.json_path(paths.results(True), MODEL))
    packed = results.predictions_path(paths.results(True), MODEL).read_bytes()
    np.save(
        place / "p.npy", CLASSIFICATION.unpack(packed, 1, result.n, ("negative", "positive"))[0]
    )
    told = {
        **{"folder": str(paths.model("smoke", MODEL)), "task": "smoke", "place": str(place)},
        **{"turns": 2, "seconds": 0.001, "order": "sorted", "padded": False, "lean": True},
        **{"precision": "fp32", "predictions": str(place / "p.npy")},
    }
    return told | changes


def test_texts_in_a_file_are_those_given(tmp_path: Path) -> None:
    texts = ["déjà vu", "", "中文 🙂", "plain"]
    Texts.write(tmp_path / "texts", texts)
    found = Texts(tmp_path / "texts")
    assert found.take(np.array([3, 0, 2, 1])) == [texts[row] for row in (3, 0, 2, 1)]
    Texts.write(tmp_path / "none", [""])
    assert Texts(tmp_path / "none").take(np.array([0])) == [""]


@pytest.mark.parametrize(
    "changes",
    [{}, {"padded": True, "order": "shuffled"}, {"precision": "bf16"}, {"precision": None}],
)
def test_a_contender_gives_the_answers_of_its_result(
    in_smoke_home: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    contender = Contender(given(tmp_path, **changes))
    assert contender.precision in ("fp32", "bf16")
    for size, tokenization in ((1, False), (32, True)):
        for turn in range(3):
            told = contender.turn(size, tokenization, turn)
            assert told["rows"] == [size] * contender.calls[size, tokenization]
            assert min(told["seconds"]) > 0
    agreement = contender.agreement()
    assert agreement is not None and agreement >= 0.95
    assert contender.load_seconds > 0


def test_tokenization_changes_no_logit(in_smoke_home: Path, tmp_path: Path) -> None:
    contender = Contender(given(tmp_path))
    rows = np.array([3, 1, 40])
    encoded = contender.reader.encode(contender.texts.take(rows), None)
    np.testing.assert_allclose(
        contender._answer(encoded, np.arange(3)),
        contender._answer(contender.encoded, rows),
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_model_that_is_not_the_one_of_its_result_is_refused(
    in_smoke_home: Path, tmp_path: Path
) -> None:
    told = given(tmp_path)
    np.save(tmp_path / "p.npy", 1 - np.load(tmp_path / "p.npy"))
    with pytest.raises(UserError, match="other answers than its result"):
        Contender(told)


def test_the_whole_run(
    smoke_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = {name: way for name, way in inference.WAYS.items() if name in ("lean", "sorted", "int8")}
    monkeypatch.setattr(inference, "WAYS", ways)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = f"bench inference --task smoke --models {MODEL}"
    assert main(command.split()) == 0, capsys.readouterr().err
    path = paths.inference_benchmark(True, "smoke")
    found = files.read_json(path)
    names = [row["name"] for row in found["rows"]]
    assert names == [f"tiny's shape, {way.title}" for way in ways.values()] + [MODEL]
    *shape, model = found["rows"]
    assert {row["score"] for row in shape} == {None}
    assert [row["runtime"] for row in shape] == ["PyTorch", "PyTorch", "ONNX Runtime"]
    assert shape[-1]["precision"] == "int8"
    result = results.read(results.json_path(paths.results(True), MODEL))
    assert (model["score"], model["bytes"]) == (result.metrics["accuracy"], result.bytes)
    assert model["agreement"] > 0.95
    for row in found["rows"]:
        assert row["peak_memory"] >= row["memory_before_loading"] > 2**20
        assert row["load_seconds"] > 0
        for timed in row["timed"]:
            assert timed["rows"] == timed["calls"] * timed["batch"]
            assert 0 < timed["latency_median"] <= timed["latency_p95"]
            assert timed["throughput"] > 0
    modes = {(timed["batch"], timed["tokenization"]) for timed in model["timed"]}
    assert modes == {(1, False), (1, True), (32, False), (32, True)}
    assert found["environment"]["threads"] == torch.get_num_threads()
    assert set(found["ratios"]["smallest_at_90_bytes"]) == {"model", "score", "value"}
    assert path.with_suffix(".md").is_file()
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert not [*paths.data().glob("tmp*")]
    assert main(["report", "--task", "smoke"]) == 0
    page = (paths.results(True) / "README.md").read_text()
    assert "### Inference speed" in page
    assert "](benchmarks/inference_smoke.png)" in page


def test_of_a_student_the_distilled_model_is_timed_and_no_ablation(smoke_copy: Path) -> None:
    folder, task = paths.results(True), tasks.get("smoke")
    found = inference._models(task, ())
    assert MODEL in found
    students = {result.student for result in found.values()}
    assert len(found) == len(students), "one model each, of the teacher too"
    path = results.json_path(folder, MODEL)
    files.write_json(path, {**files.read_json(path), "variant": "ablation_base"})
    assert MODEL not in inference._models(task, ())
    assert set(inference._models(task, (MODEL,))) == {MODEL}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--task smoke --models none_smoke", "unknown model 'none_smoke'"),
        ("--task smoke --rounds 0", "rounds 0 is impossible"),
        ("--task smoke --shape gpt", "unknown shape 'gpt'"),
        ("--task demo", "demo has no splits"),
    ],
)
def test_what_cannot_be_timed_is_refused_in_a_line(
    in_smoke_home: Path, refused: Callable[..., str], options: str, expected: str
) -> None:
    assert expected in refused("bench", "inference", *options.split())


def test_the_times_of_more_models_are_not_written_over(
    smoke_copy: Path, refused: Callable[..., str]
) -> None:
    path = paths.inference_benchmark(True, "smoke")
    replaced = "bilstm_smoke"  # by the distilled one
    assert replaced in results.read_all(paths.results(True))
    rows = [{"name": name, "way": None} for name in (MODEL, replaced, "a", "b")]
    files.write_json(path, {"task": "smoke", "rows": rows})
    line = refused("bench", "inference", "--task", "smoke", "--models", MODEL)
    assert f"{path} has the times of 2 models that would not be timed now" in line


def test_a_damaged_model_is_refused_in_a_line(
    smoke_copy: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = paths.model("smoke", MODEL)
    (folder / "model.safetensors").write_bytes(b"no model")
    monkeypatch.setattr(inference, "_shapes", lambda *_: [])
    line = refused("bench", "inference", "--task", "smoke", "--models", MODEL)
    assert MODEL in line
    for name in (files.SUMS, "model.safetensors"):
        (folder / name).unlink()
    line = refused("bench", "inference", "--task", "smoke", "--models", MODEL)
    assert "is missing or not the one of the result" in line
    shutil.rmtree(folder)
    assert "unknown model" in refused("bench", "inference", "--task", "smoke", "--models", MODEL)
    assert tasks.get("smoke").local
