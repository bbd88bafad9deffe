"""Bad input: one line that names it, status 2, nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from distillery import encoders, files, paths, results
from distillery.cli import main

Refused = Callable[..., str]
TEACHER = ["teacher", "--task", "smoke", "--teacher"]
STUDENT = ["student", "--task", "smoke", "--student", "bilstm"]
DISTIL = ["distil", "--task", "smoke", "--teacher", "tiny", "--student", "bilstm"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["distill"], "unknown command 'distill'"),
        (["data", "--task", "imbd"], "unknown task 'imbd': choose from cola, demo, imdb"),
        (["data", "--task", "../x"], "cannot be a file's name"),
        (["student", "--task", "smoke", "--student", "lstm"], "unknown student 'lstm'"),
        ([*TEACHER, "brt"], "unknown teacher 'brt'"),
        ([*TEACHER, "tiny", "--epoch", "3"], "unrecognized arguments: --epoch"),
        ([*TEACHER, "tiny", "--epochs", "three"], "invalid int value: 'three'"),
        ([*TEACHER, "tiny", "--epochs", "-1"], "epochs -1 is impossible: 0 or more"),
        ([*TEACHER, "tiny", "--dropout", "2"], "dropout 2.0 is impossible: 0 to 0.9"),
        ([*TEACHER, "tiny", "--dropout", "auto"], "invalid float value: 'auto'"),
        ([*TEACHER, "tiny", "--precision", "fp8"], "unknown precision 'fp8'"),
        ([*TEACHER, "tiny", "--learning-rate", "nan"], "learning_rate nan is impossible"),
        ([*TEACHER, "tiny", "--max-length", "4096", "--variant", "x"], "max_length 4096"),
        ([*STUDENT, "--epochs", "9"], "give it a name with --variant"),
        ([*STUDENT, "--variant", "x"], "variant 'x' changes nothing"),
        ([*STUDENT, "--seeds", "0"], "--seeds 0 is impossible"),
        ([*STUDENT, "--losses", "mse", "--variant", "x"], "need a teacher"),
        ([*DISTIL, "--losses", "mae", "--variant", "x"], "unknown loss 'mae'"),
        ([*DISTIL, "--losses", "kl:1:temp=2", "--variant", "x"], "unknown option of loss kl"),
        ([*DISTIL, "--losses", "kl:1:temperature=0", "--variant", "x"], "temperature 0"),
        ([*DISTIL, "--losses", "kl:1:temperature=warm", "--variant", "x"], "temperature warm of"),
        ([*DISTIL, "--losses", "mse:x", "--variant", "x"], "'mse:x' is not of the form"),
        ([*DISTIL, "--losses", "labels", "--variant", "x"], "no loss uses the teacher"),
        ([*DISTIL, "--splits", "test", "--variant", "x"], "unknown split 'test'"),
        (["baseline", "--task", "smoke", "--baseline", "svm"], "unknown baseline 'svm'"),
        (["data", "--task", "imdb", "--source", "/nowhere"], "/nowhere does not exist"),
        (["data", "--task", "smoke", "--source", "/"], "leave --source out"),
        (["predict", "/nowhere", "text"], "model folder /nowhere does not exist"),
    ],
)
def test_bad_option(
    in_smoke_home: Path, refused: Refused, arguments: list[str], expected: str
) -> None:
    before = sorted(paths.results(local=True).rglob("*"))
    assert expected in refused(*arguments)
    assert sorted(paths.results(local=True).rglob("*")) == before


def test_stages_out_of_order_say_what_to_run(home: Path, refused: Refused) -> None:
    assert "run scripts/run_all.sh smoke --to 1" in refused(*STUDENT)
    assert main(["data", "--task", "smoke"]) == 0
    assert "distillery teacher --task smoke --teacher tiny" in refused(*DISTIL)


def _own_encoder(folder: Path, labels: list[str]) -> Path:
    """The tiny teacher of smoke, with other names for its labels."""
    shutil.copytree(paths.model("smoke", "tiny_smoke"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(index): label for index, label in enumerate(labels)}
    config["label2id"] = {label: index for index, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / files.SUMS).unlink()
    return folder


@pytest.mark.parametrize("labels", [["positive", "negative"], ["good", "bad"]])
def test_a_teacher_with_other_labels_or_another_order_is_refused(
    in_smoke_home: Path, tmp_path: Path, refused: Refused, labels: list[str]
) -> None:
    folder = _own_encoder(tmp_path / "mine", labels)
    said = refused(*TEACHER, folder, "--epochs", "0", "--variant", "as-is")
    assert f"has the labels {', '.join(labels)}" in said


def test_swapped_labels_without_names_are_found_on_dev(
    smoke_copy: Path, tmp_path: Path, refused: Refused
) -> None:
    folder = _own_encoder(tmp_path / "swapped", ["LABEL_0", "LABEL_1"])
    weights = load_file(folder / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    said = refused(*TEACHER, folder, "--epochs", "0", "--variant", "as-is")
    assert "not above the majority class" in said
    assert "in the order positive, negative" in said


def test_a_fine_tuned_teacher_is_taken_as_it_is(smoke_copy: Path, tmp_path: Path) -> None:
    folder = _own_encoder(tmp_path / "mine", ["negative", "positive"])
    assert main([*TEACHER, str(folder), "--epochs", "0", "--variant", "as-is"]) == 0
    result = results.read(paths.results(local=True) / "mine_smoke.as-is.json")
    own = results.read(paths.results(local=True) / "tiny_smoke.json")
    assert result.metrics == own.metrics
    assert result.runs[0]["dev"] == own.runs[0]["dev"]
    assert main([*TEACHER, str(folder), "--search", "epochs=0,1"]) == 0


def test_a_raw_encoder_is_no_teacher(smoke_copy: Path, refused: Refused) -> None:
    raw = shutil.copytree(encoders.locate("tiny"), smoke_copy / "raw")
    said = refused(*TEACHER, raw, "--epochs", "0", "--variant", "raw")
    assert "no fine-tuned classifier" in said


def test_a_teacher_below_its_floor_is_refused(smoke_copy: Path, refused: Refused) -> None:
    said = refused(*TEACHER, "tiny", "--learning-rate", "1e-9", "--variant", "bad")
    assert "not above the majority class" in said
    assert not (paths.results(local=True) / "tiny_smoke.bad.json").exists()


def _change(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "empty":
        content = bytearray()
    else:
        content[len(content) * 3 // 4] ^= 0x40
    path.write_bytes(content)


def test_outputs_of_another_teacher_are_refused(smoke_copy: Path, refused: Refused) -> None:
    index = next(paths.data().glob("smoke/outputs/*/index.json"))
    files.write_json(index, {**files.read_json(index), "fingerprint": "0123456789ab"})
    assert "holds outputs of another teacher" in refused(*DISTIL, "--force")


def test_outputs_of_a_teacher_trained_anew_are_not_those_of_the_old_one(
    smoke_copy: Path, refused: Refused
) -> None:
    weights = paths.model("smoke", "tiny_smoke") / "model.safetensors"
    tensors = load_file(weights)
    tensors["classifier.bias"] += 1
    save_file(tensors, weights, metadata={"format": "pt"})
    (weights.parent / files.SUMS).unlink()
    assert "no recorded outputs for 32 of 32 rows" in refused(*DISTIL, "--force")


def test_a_nan_among_recorded_outputs_is_found(smoke_copy: Path, refused: Refused) -> None:
    index = next(paths.data().glob("smoke/outputs/*/index.json"))
    facts = files.read_json(index)
    shard = index.parent / facts["shards"][0]["file"]
    tensors = load_file(shard)
    tensors["logits"][0, 0] = float("nan")
    save_file(tensors, shard)
    facts["shards"][0]["sha256"] = files.sha256(shard)
    files.write_json(index, facts)
    assert "not finite" in refused(*DISTIL, "--force")


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_checkpoint(
    smoke_copy: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.distillation import losses

    steps: list[int] = []

    def broken(logits: torch.Tensor, batch: Any) -> torch.Tensor:
        steps.append(1)
        return logits.sum() * (float("nan") if len(steps) == 7 else 0.0)

    monkeypatch.setitem(losses.LOSSES, "labels", losses.Loss("labels", {"classification": broken}))
    said = refused(*STUDENT, "--force", "--checkpoint-seconds", "0")
    assert "the loss is nan at step 7" in said
    kept = next((paths.data() / "smoke/runs/bilstm_smoke").rglob("checkpoint.safetensors"))
    tensors, facts = files.load_tensors(kept)
    assert facts["step"] == 6
    assert all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point())


@pytest.mark.parametrize("how", ["truncated", "empty", "a flipped bit"])
def test_a_damaged_checkpoint_is_found(
    smoke_copy: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_checkpoint(
        smoke_copy, refused, monkeypatch
    )
    kept = next((paths.data() / "smoke/runs/bilstm_smoke").rglob("checkpoint.safetensors"))
    _change(kept, how)
    results.json_path(paths.results(local=True), "bilstm_smoke").unlink()
    assert "checkpoint.safetensors is damaged" in refused(*STUDENT)


def test_code_in_a_model_folder_is_never_run(
    smoke_copy: Path, tmp_path: Path, refused: Refused
) -> None:
    folder = _own_encoder(tmp_path / "evil", ["negative", "positive"])
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"}
    config |= {"auto_map": auto_map, "model_type": "evil"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / files.SUMS).unlink(missing_ok=True)
    assert "holds no whole model" in refused("predict", folder, "text")
    assert "holds no" in refused(*TEACHER, folder, "--variant", "x", "--epochs", "0")
    assert not (tmp_path / "ran").exists()


def test_weights_without_a_classifier_are_no_model(smoke_copy: Path, refused: Refused) -> None:
    folder = paths.model("smoke", "bilstm_smoke")
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / files.SUMS).unlink()
    assert "no weights for classifier.weight" in refused("predict", folder, "text")


def test_a_teacher_made_anew_makes_distillation_run_anew(
    smoke_copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same weights read other texts: shorter ones."""
    folder = _own_encoder(tmp_path / "mine", ["negative", "positive"])
    teacher = [*TEACHER, str(folder), "--epochs", "0", "--variant", "z"]
    distil = ["distil", "--task", "smoke", "--teacher", "mine", "--student", "bilstm"]
    caplog.set_level("INFO")
    for length in ("32", "24"):
        assert main([*teacher, "--max-length", length]) == 0
        caplog.clear()
        assert main([*distil, "--teacher-variant", "z"]) == 0
        assert "up to date" not in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_full_memory_is_told_in_a_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, error: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("distillery.stages.teacher.run", full)
    assert "memory is full: free some" in refused(*TEACHER, "tiny")


def test_other_errors_of_pytorch_are_not_taken_for_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("distillery.stages.teacher.run", wrong)
    with pytest.raises(RuntimeError, match="mat1"):
        main([*TEACHER, "tiny"])
