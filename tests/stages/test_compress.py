"""Stage 5 on `smoke`: a chain of results, and models that are whole or refused."""

import json
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

from distillery import files, paths, results, tasks
from distillery.cli import main
from distillery.data import store
from distillery.kinds import CLASSIFICATION
from distillery.models import tokenization
from distillery.models.saved import load_network
from distillery.recipes import QuantizationRecipe, quantization
from distillery.runtime.facts import read_facts
from distillery.stages import compress, predict
from distillery.training import inference

SOURCE = "distil_bilstm_tiny_smoke"
SMALLER = f"{SOURCE}.pruned"
MADE = (f"{SOURCE}.onnx", f"{SOURCE}.int8", SMALLER, f"{SMALLER}.onnx", f"{SMALLER}.int8")
COMPRESS = ["compress", "--task", "smoke", "--teacher", "tiny", "--student", "bilstm"]
STATIC = ["--method", "static", "--variant", "static"]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def chain_home(smoke_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `smoke_home` in which stage 5 has run once, for tests that only read."""
    folder = tmp_path_factory.mktemp("chain")
    shutil.copytree(smoke_home, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        _use(folder, monkeypatch)
        assert main(COMPRESS) == 0
        assert main(["report", "--task", "smoke"]) == 0
    return folder


def _use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILLERY_DATA", str(folder / "data"))
    monkeypatch.setenv("DISTILLERY_RESULTS", str(folder / "results"))
    return folder


@pytest.fixture
def in_chain_home(chain_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return _use(chain_home, monkeypatch)


@pytest.fixture
def chain_copy(chain_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `chain_home`, to break."""
    shutil.copytree(chain_home, tmp_path, dirs_exist_ok=True)
    return _use(tmp_path, monkeypatch)


def _result(name: str) -> results.Result:
    return results.read(results.json_path(paths.results(local=True), name))


def test_every_step_has_a_result_beside_its_sources(in_chain_home: Path) -> None:
    for name in MADE:
        result, source = _result(name), _result(name.rpartition(".")[0])
        assert result.stage == "compression"
        assert result.source == {
            "name": source.name,
            "metrics": source.runs[0]["metrics"],
            "bytes": source.bytes,
        }
        said = (paths.results(local=True) / f"{name}.txt").read_text()
        assert f"made of {source.name}: accuracy" in said
    assert [_result(name).variant for name in MADE] == [
        *("onnx", "int8", "pruned"),
        *("pruned onnx", "pruned int8"),
    ]
    assert _result(f"{SOURCE}.onnx").metrics == _result(SOURCE).metrics
    assert _result(SMALLER).parameters < _result(SOURCE).parameters
    assert _result(SMALLER).bytes < _result(SOURCE).bytes


def test_every_folder_is_what_the_contract_says(in_chain_home: Path) -> None:
    for name in MADE:
        folder = paths.model("smoke", name)
        exported = not name.endswith("pruned")
        weights = "model.onnx" if exported else "model.safetensors"
        assert {path.name for path in folder.iterdir()} == {
            *(weights, "config.json", "distillery.json", files.SUMS),
            *("tokenizer.json", "tokenizer_config.json"),
        }
        facts = read_facts(folder)
        sums = files.read_json(folder / files.SUMS)
        assert sums[weights] == files.sha256(folder / weights)
        assert facts["labels"] == ["negative", "positive"]
        assert _result(name).bytes == (folder / weights).stat().st_size


def test_a_loaded_model_predicts_what_its_result_says(in_chain_home: Path) -> None:
    test = store.read_split("smoke", "test")
    for name in MADE:
        answers = predict.load(paths.model("smoke", name)).answers(test_texts(test))
        labels = [answer.as_dict(None)["label"] for answer in answers]
        packed = results.predictions_path(paths.results(local=True), name).read_bytes()
        predicted = CLASSIFICATION.unpack(packed, 1, len(test), ("negative", "positive"))[0]
        assert labels == [("negative", "positive")[number] for number in predicted], name


def test_texts(test: store.Split) -> list[str]:
    return next(test.chunks(1000))[0]


test_texts.__test__ = False  # type: ignore[attr-defined]


def test_the_table_has_a_row_for_each(in_chain_home: Path) -> None:
    page = (paths.results(local=True) / "README.md").read_text()
    compressed = page.split("### Compressed")[1].split("###")[0]
    for name in MADE:
        assert f"| `{name}` | " in compressed
    assert f"scripts/compression/prune_{SOURCE}.sh" in compressed
    assert "### Variants" not in page


def test_the_pruned_student_reads_with_its_own_vocabulary(in_chain_home: Path) -> None:
    folder = paths.model("smoke", SMALLER)
    model = load_network(folder)
    assert len(tokenization.load(folder)) == model.config.vocab_size == 96
    assert model.config.hidden_size == 16


def test_predict_reads_an_exported_model(
    in_chain_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {}
    for name in (SOURCE, f"{SOURCE}.onnx"):
        assert main(["predict", str(paths.model("smoke", name)), "the plot was great"]) == 0
        lines[name] = capsys.readouterr().out
    assert lines[SOURCE] == lines[f"{SOURCE}.onnx"]


def test_what_is_up_to_date_is_skipped(
    in_chain_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert main(COMPRESS) == 0
    for name in MADE:
        assert f"{name} is up to date" in caplog.text


@pytest.mark.parametrize("step", ["int8", "pruned"])
@pytest.mark.parametrize("how", ["truncated", "tampered with", "lost"])
def test_a_damaged_model_is_one_line(
    chain_copy: Path, refused: Refused, step: str, how: str
) -> None:
    folder = paths.model("smoke", f"{SOURCE}.{step}")
    path = folder / ("model.onnx" if step == "int8" else "model.safetensors")
    whole = path.read_bytes()
    if how == "lost":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(whole[:-100])
    else:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert f"{path} is " in refused("predict", folder, "text")


def test_what_cannot_be_compressed_is_one_line(in_chain_home: Path, refused: Refused) -> None:
    def said(step: str, model: str, *more: str) -> str:
        return refused(step, "--task", "smoke", "--model", model, *more)

    assert "unknown model 'nothing'" in said("export", "nothing")
    assert "model '' cannot be a file's name" in said("export", "../x")
    assert "is exported already" in said("quantize", f"{SOURCE}.onnx")
    assert "'majority_smoke' is no model" in said("prune", "majority_smoke")
    assert "has no teacher to be distilled from again" in said("prune", "bilstm_smoke")
    bag = "distil_bag_tiny_smoke"
    for more in ((), ("--sparsity", "0", "--pieces", "96", "--variant", "pieces")):
        assert "of the type distillery_bag cannot be pruned" in said("prune", bag, *more)
    assert not paths.model("smoke", f"{bag}.pruned").exists()
    static = ("--method", "static", "--variant", "static")
    assert "use dynamic" in said("quantize", SOURCE, *static)
    assert not paths.model("smoke", f"{SOURCE}.int8.static").exists()
    assert "give it a name with --variant" in said("prune", SOURCE, "--sparsity", "0.2")
    nothing = ("--sparsity", "0", "--pieces", "0", "--variant", "none")
    assert "sparsity 0 and pieces 0 take nothing out" in said("prune", SOURCE, *nothing)


def test_static_ranges_come_from_rows_of_all_of_dev(chain_copy: Path) -> None:
    # its source may have one label after the other, so the first rows will not do
    few = QuantizationRecipe(method="static", calibration_rows=8)
    stage = compress.Quantized(tasks.get("smoke"), few, "tiny_smoke")
    text = stage._text(stage.build(), "dev")
    chosen = [batch["input_ids"][0].tolist() for batch in compress._calibration(text, few)]
    first = [inference.tensors(text, np.array([row]))["input_ids"][0].tolist() for row in range(8)]
    assert len(chosen) == 8
    assert sorted(chosen) != sorted(first)
    every = [*compress._calibration(text, QuantizationRecipe(calibration_rows=10**6))]
    assert len(every) == len(text)


def test_a_transformer_is_quantized_with_static_ranges(chain_copy: Path) -> None:
    assert main(["quantize", "--task", "smoke", "--model", "tiny_smoke", *STATIC]) == 0
    result = results.read(results.json_path(paths.results(True), "tiny_smoke.int8.static"))
    assert result.recipe["method"] == "static"
    assert result.metrics["accuracy"] >= result.source["metrics"]["accuracy"] - 0.1


@pytest.mark.parametrize(
    ("task_name", "student", "steps"),
    [
        ("imdb", "bilstm", ["Exported", "Quantized", "Pruned", "Exported", "Quantized"]),
        ("imdb", "bag", ["Exported", "Quantized"]),
        (
            *("imdb", "attention"),
            ["Exported", "Quantized", "static", "Pruned", "Exported", "Quantized", "static"],
        ),
        ("demo", "bilstm", ["Exported", "Quantized"]),
    ],
)
def test_the_chain_has_the_steps_that_suit_student_and_task(
    monkeypatch: pytest.MonkeyPatch, task_name: str, student: str, steps: list[str]
) -> None:
    told = []
    for step in ("Exported", "Quantized", "Pruned"):

        def make(*what: object, _step: str = step) -> SimpleNamespace:
            told.append(what[3] if len(what) > 3 else _step)
            return SimpleNamespace(name="it", result=SimpleNamespace(name="it"))

        monkeypatch.setattr(compress, step, make)
    monkeypatch.setattr(compress, "run", lambda *_, **__: None)
    names = {"student": student, "teacher": "minilm"}
    given = Namespace(**names, teacher_variant=None, student_variant=None)
    compress.run_chain(tasks.get(task_name), given)
    assert told == steps


def test_a_changed_source_is_refused(chain_copy: Path, refused: Refused) -> None:
    path = paths.model("smoke", SOURCE) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\7")
    assert "not the one of the result" in refused("export", "--task", "smoke", "--model", SOURCE)


def test_pruning_without_recorded_outputs_is_one_line(chain_copy: Path, refused: Refused) -> None:
    shutil.rmtree(paths.data() / "smoke/outputs")
    command = ["prune", "--task", "smoke", "--model", SOURCE, "--rows", "8"]
    line = refused(*command, "--variant", "few")
    assert "scripts/distillery record --task smoke --teacher tiny" in line


def test_a_variant_has_a_name_of_its_own(chain_copy: Path) -> None:
    four = ["--embedding-bits", "4", "--variant", "int4"]
    assert main(["quantize", "--task", "smoke", "--model", SOURCE, *four]) == 0
    result = _result(f"{SOURCE}.int8.int4")
    assert result.variant == "int8 int4"
    assert result.recipe == QuantizationRecipe(embedding_bits=4).as_dict()
    assert quantization("smoke") == QuantizationRecipe()


def test_a_bag_is_exported_and_quantized(
    chain_copy: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO")
    assert main(["compress", "--task", "smoke", "--teacher", "tiny", "--student", "bag"]) == 0
    assert "distil_bag_tiny_smoke has no units to prune" in caplog.text
    folder = paths.model("smoke", "distil_bag_tiny_smoke.int8")
    capsys.readouterr()
    assert main(["predict", str(folder), "", "dull " * 10_000, "."]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_foreign_onnx_model_is_one_line(in_chain_home: Path, refused: Refused) -> None:
    """A folder that others put together: without checksums, and with a model of another shape."""
    source = paths.model("smoke", f"{SOURCE}.onnx")
    with tempfile.TemporaryDirectory() as place:
        folder = shutil.copytree(source, Path(place) / "model")
        (folder / files.SUMS).unlink()
        config = json.loads((folder / "config.json").read_text())
        config["id2label"] = {"0": "a", "1": "b", "2": "c"}
        (folder / "config.json").write_text(json.dumps(config))
        assert "have the shape (1, 2), not the (1, 3)" in refused("predict", folder, "text")
        model = onnx.load(folder / "model.onnx")
        model.graph.input[0].name = "tokens"
        for node in model.graph.node:
            for number, name in enumerate(node.input):
                if name == "input_ids":
                    node.input[number] = "tokens"
        onnx.save(model, folder / "model.onnx")
        assert "cannot read a batch" in refused("predict", folder, "text")


def test_a_teacher_is_pruned_from_its_own_outputs(chain_copy: Path) -> None:
    command = ["prune", "--task", "smoke", "--model", "tiny_smoke", "--epochs", "1"]
    assert main([*command, "--variant", "short"]) == 0
    folder = paths.model("smoke", "tiny_smoke.pruned.short")
    model = load_network(folder)
    assert (model.config.kept_heads, model.config.intermediate_size) == (1, 32)
    assert isinstance(model(torch.tensor([[1, 2]])).logits, torch.Tensor)
    assert main(["export", "--task", "smoke", "--model", "tiny_smoke.pruned.short"]) == 0
