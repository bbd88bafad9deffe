"""Stages 1 to 4 and 6 on `smoke`, and what they leave behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from distillery import encoders, files, paths, results
from distillery.cli import main
from distillery.data import store
from distillery.kinds import CLASSIFICATION

NAMES = {
    "tiny_smoke",
    "majority_smoke",
    "tfidf_smoke",
    "nbsvm_smoke",
    "bilstm_smoke",
    "attention_smoke",
    "bag_smoke",
    "distil_bilstm_tiny_smoke",
    "distil_attention_tiny_smoke",
    "distil_bag_tiny_smoke",
}


def test_every_result_is_there_with_all_fields(in_smoke_home: Path) -> None:
    found = results.read_all(paths.results(local=True))
    assert set(found) == NAMES
    for name, result in found.items():
        assert result.predictions
        first = (paths.results(local=True) / f"{name}.txt").read_text().splitlines()[0]
        assert first == f"accuracy {result.metrics['accuracy']:.4f}"


def test_scores_are_those_of_the_saved_predictions(in_smoke_home: Path) -> None:
    test = store.read_split("smoke", "test")
    for name, result in results.read_all(paths.results(local=True)).items():
        packed = results.predictions_path(paths.results(local=True), name).read_bytes()
        predicted = CLASSIFICATION.unpack(packed, 1, result.n, ("negative", "positive"))[0]
        assert float(np.mean(predicted == test.labels)) == result.metrics["accuracy"]


def test_calibration_is_measured_where_there_are_probabilities(in_smoke_home: Path) -> None:
    for name, result in results.read_all(paths.results(local=True)).items():
        errors = [run.get("ece") for run in result.runs]
        if name in ("majority_smoke", "nbsvm_smoke"):
            assert errors == [None]
        else:
            assert all(0 < error < 1 for error in errors)


def test_true_labels_of_test_lie_beside_the_predictions(smoke_copy: Path) -> None:
    test, folder = store.read_split("smoke", "test"), paths.results(local=True)
    labels = results.read_labels(folder, "smoke")
    assert labels is not None
    assert (labels.kind, labels.names) == ("classification", ("negative", "positive"))
    assert np.array_equal(
        CLASSIFICATION.unpack(labels.packed, 1, labels.n, labels.names)[0], test.labels
    )
    assert labels.sha256 == test.sha256
    path = results.labels_path(folder, "smoke")
    written = path.read_bytes()
    for damage in (b"{", None):
        path.unlink() if damage is None else path.write_bytes(damage)
        assert main(["student", "--task", "smoke", "--student", "bilstm"]) == 0
        assert path.read_bytes() == written, "also for results that are up to date"


@pytest.mark.parametrize("order", [("distillery", "transformers"), ("transformers", "distillery")])
def test_a_saved_student_predicts_what_its_result_says(
    in_smoke_home: Path, order: tuple[str, str]
) -> None:
    """By `pipeline`, in a process that imports the package before or after transformers."""
    test = store.read_split("smoke", "test")
    lines = {
        "distillery": "import distillery",
        "transformers": "from transformers import pipeline",
    }
    imports = "\n".join(lines[name] for name in order)
    code = f"""
import json, sys
{imports}
folder, texts = json.load(sys.stdin)
answers = pipeline("text-classification", model=folder)(texts)
print(json.dumps([answer["label"] for answer in answers]))
"""
    folder = paths.model("smoke", "distil_bilstm_tiny_smoke")
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([str(folder), next(test.chunks(1000))[0]]),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(paths.ROOT / "src"), "HF_HUB_OFFLINE": "1"},
    )
    answers = [label == "positive" for label in json.loads(done.stdout.splitlines()[-1])]
    accuracy = float(np.mean(np.array(answers) == test.labels))
    result = results.read(paths.results(local=True) / "distil_bilstm_tiny_smoke.json")
    assert accuracy == result.metrics["accuracy"]


def test_no_pickle_is_left_anywhere(in_smoke_home: Path) -> None:
    suffixes = {path.suffix for path in paths.data().rglob("*") if path.is_file()}
    assert not suffixes & {".bin", ".pt", ".pth", ".pkl", ".pickle"}


def test_an_up_to_date_stage_is_skipped_and_force_runs_it(
    smoke_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = ["student", "--task", "smoke", "--student", "bilstm"]
    path = results.json_path(paths.results(local=True), "bilstm_smoke")
    before = path.read_bytes()
    caplog.set_level("INFO")
    assert main(command) == 0
    assert "up to date" in caplog.text
    assert path.read_bytes() == before
    assert main([*command, "--force"]) == 0
    again, first = json.loads(path.read_text()), json.loads(before)
    assert again["outputs"] == first["outputs"], "the same seed gives the same weights"
    assert again["metrics"] == first["metrics"]


@pytest.mark.parametrize("lost", ["model", "changed model"])
def test_a_result_without_its_model_is_not_up_to_date(smoke_copy: Path, lost: str) -> None:
    weights = paths.model("smoke", "bilstm_smoke") / "model.safetensors"
    checksum = files.sha256(weights)
    if lost == "model":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert main(["student", "--task", "smoke", "--student", "bilstm"]) == 0
    assert files.sha256(weights) == checksum


def test_what_a_kill_left_out_is_recorded_alone(smoke_copy: Path) -> None:
    index = next(paths.data().glob("smoke/outputs/*/index.json"))
    before = json.loads(index.read_text())["shards"]
    assert main(["record", "--task", "smoke", "--teacher", "tiny"]) == 0
    assert json.loads(index.read_text())["shards"] == before, "nothing new, nothing recorded"
    (index.parent / before[-1]["file"]).unlink()
    files.write_json(
        index, {**files.read_json(index), "shards": before[:-1]}
    )  # as after a kill in the last shard
    assert main(["record", "--task", "smoke", "--teacher", "tiny"]) == 0
    assert json.loads(index.read_text())["shards"] == before


def test_new_unlabeled_rows_are_recorded_alone_and_named_in_results(smoke_copy: Path) -> None:
    index = next(paths.data().glob("smoke/outputs/*/index.json"))
    before = json.loads(index.read_text())["shards"]
    path = results.json_path(paths.results(local=True), "distil_bag_tiny_smoke")
    assert results.read(path).unlabeled_data is None
    more = smoke_copy / "more.jsonl"
    more.write_text("".join(f'{{"text": "the plot was odd {n}"}}\n' for n in range(40)))
    assert main(["data", "--task", "smoke", "--unlabeled-data", str(more)]) == 0
    assert main(["record", "--task", "smoke", "--teacher", "tiny"]) == 0
    shards = json.loads(index.read_text())["shards"]
    assert shards[: len(before)] == before
    assert sum(shard["rows"] for shard in shards[len(before) :]) == 40
    command = ["--task", "smoke", "--student", "bag"]
    assert main(["distil", "--teacher", "tiny", *command]) == 0
    assert results.read(path).unlabeled_data.startswith("more.jsonl (sha256 ")
    assert main(["student", *command, "--force"]) == 0
    single = results.read(results.json_path(path.parent, "bag_smoke"))
    assert single.unlabeled_data is None, "it trains on labels alone"


def test_several_seeds_are_averaged_and_only_missing_ones_run(smoke_copy: Path) -> None:
    command = ["student", "--task", "smoke", "--student", "attention"]
    path = results.json_path(paths.results(local=True), "attention_smoke")
    first = json.loads(path.read_text())["runs"][0]
    assert main([*command, "--seeds", "2"]) == 0
    result = json.loads(path.read_text())
    assert [run["seed"] for run in result["runs"]] == [0, 1]
    assert result["runs"][0] == first
    accuracies = [run["metrics"]["accuracy"] for run in result["runs"]]
    assert result["metrics"]["accuracy"] == pytest.approx(sum(accuracies) / 2)


def test_a_variant_has_a_result_of_its_own(smoke_copy: Path) -> None:
    command = ["distil", "--task", "smoke", "--teacher", "tiny", "--student", "bilstm"]
    changed = ["--losses", "kl:0.5:temperature=4,labels:0.5", "--epochs", "1"]
    assert main([*command, *changed, "--variant", "kl"]) == 0
    result = results.read(paths.results(local=True) / "distil_bilstm_tiny_smoke.kl.json")
    assert result.recipe["phases"][0]["losses"] == [
        ["kl", 0.5, {"temperature": 4.0}],
        ["labels", 0.5, {}],
    ]
    assert main(["report", "--task", "smoke"]) == 0
    assert "distil_bilstm_tiny_smoke.kl" in (paths.results(local=True) / "README.md").read_text()


def test_training_leaves_tensorboard_events(in_smoke_home: Path) -> None:
    assert list(paths.data().glob("smoke/runs/bilstm_smoke/*/phase1/events/events.out.tfevents.*"))


def test_a_teacher_starts_from_further_pretraining(
    smoke_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["--task", "smoke", "--teacher", "tiny"]
    variant = ["teacher", *names, "--variant", "read", "--pretraining", "task"]
    assert main(variant) == 2  # there is nothing to start from
    pretrain = ["pretrain", *names, "--max-length", "32", "--learning-rate", "1e-3"]
    caplog.set_level("INFO")
    for _ in range(2):
        assert main(pretrain) == 0
    assert "up to date" in caplog.text
    folder = paths.pretrained("smoke", "tiny")
    facts = files.read_json(folder / "pretraining.json")
    history = facts["run"]["history"]
    assert facts["run"]["rows"] == 288
    assert history[0]["cross_entropy"] < np.log(100)  # knows more than nothing of some 100 pieces
    assert main(variant) == 0
    result = results.read(results.json_path(paths.results(local=True), "tiny_smoke.read"))
    assert result.recipe["pretraining"] == "task"
    weights = "smoke/encoders/tiny/model.safetensors"
    assert result.inputs[weights] == files.sha256(folder / "model.safetensors")
    # What is no longer what was written is made again.
    (folder / "model.safetensors").write_bytes(b"damaged")
    caplog.clear()
    assert main(pretrain) == 0
    assert "up to date" not in caplog.text
    assert files.sha256(folder / "model.safetensors") == result.inputs[weights]


def test_every_stage_gives_nearly_the_same_with_kernels_off(
    smoke_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLERY_KERNELS", "off")
    folder, names = paths.results(local=True), ["--task", "smoke", "--teacher", "tiny"]
    compared = ("tiny_smoke", "distil_bilstm_tiny_smoke", "distil_attention_tiny_smoke")
    before = {name: results.read(folder / f"{name}.json") for name in compared}
    assert main(["teacher", *names, "--force"]) == 0
    for student in ("bilstm", "attention"):
        assert main(["distil", *names, "--student", student, "--force"]) == 0
    for name, expected in before.items():
        found = results.read(folder / f"{name}.json")
        assert found.metrics["accuracy"] == pytest.approx(expected.metrics["accuracy"], abs=0.1)
    layers = ["--phase1-epochs", "1", "--phase2-epochs", "1"]
    assert main(["distil", *names, "--student", "bert_tiny", *layers, "--variant", "plain"]) == 0
    assert main(["compress", *names, "--student", "bilstm"]) == 0
    texts = ["the film was great and the plot was lovely", "the cast was awful"]
    for name in ("tiny_smoke", "distil_bilstm_tiny_smoke"):
        assert main(["predict", str(paths.model("smoke", name)), *texts]) == 0


def test_a_student_learns_from_the_mean_of_several_teachers(smoke_copy: Path) -> None:
    names = ["--task", "smoke", "--teacher"]
    copy = smoke_copy / "other"
    shutil.copytree(encoders.locate("tiny"), copy)
    assert main(["teacher", *names, str(copy)]) == 0
    student = ["--student", "bag", "--epochs", "1", "--variant", "two"]
    assert main(["distil", *names, f"tiny,{copy}", *student]) == 0
    result = results.read(paths.results(local=True) / "distil_bag_tiny-other_smoke.two.json")
    assert result.teacher == "tiny-other"
    assert {
        "smoke/models/tiny_smoke/model.safetensors",
        "smoke/models/other_smoke/model.safetensors",
    } <= result.inputs.keys()
    assert main(["distil", *names, f"tiny,{copy}", "--student", "bert_tiny"]) == 2
    compressed = ["--student", "bag", "--student-variant", "two"]
    assert main(["compress", *names, f"tiny,{copy}", *compressed]) == 0
    assert paths.model("smoke", "distil_bag_tiny-other_smoke.two.int8").is_dir()
    assert main(["report", "--task", "smoke"]) == 0


def test_a_teacher_is_not_averaged_with_itself(
    in_smoke_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distil", "--task", "smoke", "--teacher", "tiny,tiny", "--student", "bag"]) == 2
    assert "teachers tiny,tiny name one twice" in capsys.readouterr().err
