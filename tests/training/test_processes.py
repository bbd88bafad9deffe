"""Several processes do what one does: the same losses, every row once."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery import files, paths, results
from distillery.cli import main
from distillery.data import store
from distillery.models import tokenization
from distillery.models.saved import load_network
from distillery.runtime.facts import read_facts
from distillery.training import inference
from tests.conftest import WarmPython
from tests.faults.pipeline import LIMIT

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("ranks.py")
TWO = (
    "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    " --main_process_port 0"  # a free one: other tests may run at the same time
)


def run(command: list[str], **more: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}", "TQDM_DISABLE": "1", **more}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory, warm_python: WarmPython
) -> dict[int, dict[str, Any]]:
    """What `ranks.py` found as one process and as two."""
    answers = {}
    for processes in (1, 2):
        folder = tmp_path_factory.mktemp(f"ranks{processes}")
        launch = ["-m", "accelerate.commands.launch", *TWO.split()] if processes == 2 else []
        command = [str(warm_python.path), *launch, str(SCRIPT), str(folder)]
        run(command, DISTILLERY_DATA=str(folder / "data"))
        answers[processes] = json.loads((folder / "found.json").read_text())
        assert answers[processes]["processes"] == processes
    return answers


def test_the_same_global_batch_gives_the_same_losses(found: dict[int, dict[str, Any]]) -> None:
    one, two = found[1], found[2]
    assert len(one["losses"]) == 2 * 5
    assert np.allclose(one["losses"], two["losses"], rtol=1e-5)
    for name, weight in one["weights"].items():
        # The pool's bias moves all scores alike, which changes nothing: its gradient is rounding
        # alone, of which Adam makes steps like any other.
        if name != "pool.query.bias":
            assert np.isclose(weight, two["weights"][name], rtol=1e-4, atol=1e-4), name


def test_no_row_is_lost_or_computed_twice(found: dict[int, dict[str, Any]]) -> None:
    one, two = found[1], found[2]
    for answer in (one, two):
        assert answer["recorded"] == sum(answer["shards"]) == 65
        assert answer["rows_computed"] == 2 * 65  # inference, then recording
    for name in ("logits", "outputs"):
        assert np.allclose(one[name], two[name], atol=1e-4), name
        assert np.shape(two[name]) == (65, 2)


def test_two_hosts_find_each_other(
    found: dict[int, dict[str, Any]], warm_python: WarmPython, tmp_path: Path
) -> None:
    """The README's command for several hosts, with both on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "TQDM_DISABLE": "1",
        "DISTILLERY_DATA": str(tmp_path / "data"),
    }
    hosts = []
    for rank in (0, 1):
        options = (
            f"--multi_gpu --num_processes 2 --num_machines 2 --machine_rank {rank}"
            f" --main_process_ip 127.0.0.1 --main_process_port {port}"
            " --mixed_precision no --dynamo_backend no"
        )
        command = [warm_python.path, "-m", "accelerate.commands.launch", *options.split()]
        hosts.append(
            subprocess.Popen(
                [*command, str(SCRIPT), str(tmp_path)], env=environment, stderr=subprocess.PIPE
            )
        )
    try:
        for host in hosts:
            _, said = host.communicate(timeout=LIMIT)
            assert host.returncode == 0, said.decode()[-3000:]
    finally:
        for host in hosts:
            host.kill()
    answer = json.loads((tmp_path / "found.json").read_text())
    assert answer["processes"] == 2
    assert np.allclose(answer["losses"], found[1]["losses"], rtol=1e-5)


def _logits(name: str) -> np.ndarray:
    """What a saved model of smoke answers on dev, in fp32: (N, labels)."""
    folder = paths.model("smoke", name)
    reading = read_facts(folder)
    assert reading["precision"] == "fp32"
    tokenizer = tokenization.load(folder)
    reader = tokenization.reader(tokenizer, reading["max_length"], reading["head"])
    text = reader.encode_split("smoke", store.read_split("smoke", "dev"))
    return inference.logits(load_network(folder), text, "fp32", name)


def test_stages_run_as_two_processes_and_end_as_one_does(
    smoke_copy: Path, warm_python: WarmPython
) -> None:
    """The models answer alike: logits differ by rounding, far less than training moved them.

    Accuracy would not do: it jumps where rounding moves a text over the line. Dropout is off,
    since each process draws its own.
    """
    stages = (
        "teacher --task smoke --teacher tiny --variant {0} --epochs 9",
        "distil --task smoke --teacher tiny --student bigru --variant {0} --dropout 0",
        # A live teacher, a projection, and in phase 1 no loss on the logits.
        "distil --task smoke --teacher tiny --student bert_tiny --variant {0} --dropout 0",
    )
    clone = warm_python.clone(smoke_copy)
    for variant, launch in (("one", ""), ("two", TWO)):
        for stage in stages:
            command = [str(clone / "scripts/distillery"), *stage.format(variant).split()]
            run(command, DISTILLERY_LAUNCH=launch)
    folder = paths.results(local=True)
    for name_of in (
        lambda variant: paths.teacher_result("smoke", "tiny", variant),
        lambda variant: paths.distillation_result("smoke", "bigru", "tiny", None, variant),
        lambda variant: paths.distillation_result("smoke", "bert_tiny", "tiny", None, variant),
    ):
        one, two = (results.read(folder / f"{name_of(v)}.json") for v in ("one", "two"))
        assert one.n == two.n
        assert len(one.runs[0]["history"]) == len(two.runs[0]["history"])
        before, after = (_logits(name_of(variant)) for variant in ("one", "two"))
        assert np.abs(before - after).max() < 0.02 * np.ptp(before)


def test_pretraining_runs_as_two_processes(smoke_copy: Path, warm_python: WarmPython) -> None:
    script = warm_python.clone(smoke_copy) / "scripts/distillery"
    command = [str(script), "pretrain", "--task", "smoke", "--teacher", "tiny"]
    scores = []
    for launch in ("", TWO):
        run([*command, "--force"], DISTILLERY_LAUNCH=launch)
        facts = files.read_json(paths.pretraining_facts("smoke", "tiny"))
        scores.append(facts["run"]["history"][-1])
    # each process draws masks of its own
    assert scores[0]["cross_entropy"] == pytest.approx(scores[1]["cross_entropy"], rel=0.2)


@pytest.mark.parametrize("launch", [TWO, TWO.replace("--multi_gpu --num_processes 2", "--cpu")])
def test_processes_that_refuse_say_why_and_no_more(
    smoke_copy: Path, warm_python: WarmPython, launch: str
) -> None:
    script = warm_python.clone(smoke_copy) / "scripts/distillery"
    command = [str(script), "student", "--task", "smoke", "--student", "gru"]
    environment = {**os.environ, "DISTILLERY_LAUNCH": launch}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    lines = {line for line in done.stderr.splitlines() if line.strip()}
    assert [line for line in lines if line.startswith("distillery: unknown student 'gru'")]
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 4, done.stderr


def test_a_teacher_that_records_is_not_wrapped(
    smoke_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DDP is for what learns: around a frozen model it costs memory and refuses to start."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("accelerate.Accelerator.prepare_model", refuse)
    for folder in (paths.data() / "smoke/outputs").iterdir():
        shutil.rmtree(folder)
    assert main(["record", "--task", "smoke", "--teacher", "tiny"]) == 0
    (folder,) = (paths.data() / "smoke/outputs").iterdir()
    rows = sum(len(store.read_split("smoke", split).ids) for split in paths.SPLITS)
    index = json.loads((folder / "index.json").read_text())
    assert sum(shard["rows"] for shard in index["shards"]) == rows
