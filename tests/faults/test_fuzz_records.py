"""Readers of what the stages wrote, on thousands of damaged files: a right answer or a UserError.

A hundred examples each in the suite, always the same; `make test-fuzz` draws 10,000 new ones.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distillery import files, paths, results, tasks
from distillery.data import splits, store
from distillery.data.task import Example, Task
from distillery.distillation import signals as teachers
from distillery.distillation.outputs import TeacherOutputs
from distillery.recipes import DataRecipe
from distillery.report import table
from distillery.report.rows import of_task
from distillery.report.statistics import Evidence
from distillery.runtime import facts as runtime_facts
from tests.faults.mutations import answer, astray, mutated
from tests.splitting import spooled

RECIPE = DataRecipe(dev_rows=2)


@pytest.fixture(scope="module")
def manifest(place: Path) -> dict[str, Any]:
    rows = [Example(n, f"text {n}", None, n % 2) for n in range(12)]
    task = Task(name="mine", labels=("bad", "good"), local=True)
    raw = spooled({"train": rows}, RECIPE, place)
    made, dropped = splits.make(raw, RECIPE, task)
    return store.write(task, made, {"source": {"sha256": "abc"}, "dropped": dropped}, RECIPE)


def read_manifest(content: bytes) -> None:
    """The manifest alone, the task that it declares, and the splits that it describes."""
    paths.manifest("mine").write_bytes(content)
    task = answer(lambda: tasks.get("mine"))
    if task:
        assert all(isinstance(label, str) for label in task.labels)
    for name in paths.SPLITS:
        split = answer(lambda: store.read_split("mine", name))  # noqa: B023
        if split:
            assert split.sha256 == files.sha256(split.path)
    store.is_current("mine", RECIPE, {"sha256": "abc"})


@given(st.data())
def test_manifest(place: Path, manifest: dict[str, Any], data: st.DataObject) -> None:
    read_manifest(data.draw(mutated([json.dumps(manifest).encode()]) | astray(manifest)))


RESULT = {
    **{"name": "distil_bilstm_tiny_mine", "stage": "distillation", "task": "mine"},
    **{"student": "bilstm", "layers": 1, "teacher": "tiny", "variant": "x", "split": "test"},
    **{"n": 2, "metrics": {"accuracy": 0.5}, "recipe": {}, "stage_version": 1},
    "runs": [{"seed": 0, "metrics": {"accuracy": 0.5}, "seconds": 1.5, "rows": 9, "epochs": 3}],
    **{"inputs": {"mine/test.parquet": "abc"}, "outputs": {"mine/x": "abc"}},
    "commit": {"head": "0123456789", "dirty": False},
    "environment": {"python": "3.11", "threads": 2, "device": "cpu"},
    **{"parameters": 10, "bytes": 40, "command": "scripts/x.sh"},
}
TEACHER = {**RESULT, "name": "tiny_mine", "stage": "teacher", "student": None, "variant": None}
PLAIN = {**RESULT, "name": "plain", "variant": None}


@given(st.data())
def test_results(place: Path, data: st.DataObject) -> None:
    folder = paths.results(local=True)
    for result in (RESULT, TEACHER, PLAIN):
        files.write_json(results.json_path(folder, str(result["name"])), result)
    one = data.draw(st.sampled_from((RESULT, TEACHER, PLAIN)))
    content = data.draw(mutated([json.dumps(one).encode()]) | astray(one))
    results.json_path(folder, str(one["name"])).write_bytes(content)
    results.is_current(folder, str(one["name"]), {"recipe": {}}, [0])
    found = answer(lambda: results.read_all(folder))
    for task in sorted({result.task for result in (found or {}).values()}):
        if own := of_task(found, task):
            for show in (table.markdown, table.summary):
                text = answer(lambda: show(own))  # noqa: B023
                assert text is None or text.encode()


@pytest.fixture(scope="module")
def index(place: Path) -> dict[str, Any]:
    folder = paths.outputs("mine", "print")
    outputs = TeacherOutputs("mine", "print", "tiny")
    for first in (0, 3):
        outputs._write(np.arange(first, first + 3, dtype=np.uint64), np.zeros((3, 2), np.float32))
    return files.read_json(folder / "index.json")


@given(st.data())
def test_outputs_index(place: Path, index: dict[str, Any], data: st.DataObject) -> None:
    path = paths.outputs("mine", "print") / "index.json"
    path.write_bytes(data.draw(mutated([json.dumps(index).encode()]) | astray(index)))
    ids = np.arange(6, dtype=np.uint64)
    found = answer(lambda: TeacherOutputs("mine", "print", "tiny"))
    logits = answer(lambda: found.logits(ids)) if found else None
    assert logits is None or not logits.any()


TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7), "c": torch.zeros(0)}


@pytest.fixture(scope="module")
def tensors(place: Path) -> bytes:
    files.save_tensors(place / "whole.safetensors", TENSORS, {"step": 3})
    return (place / "whole.safetensors").read_bytes()


def read_tensors(path: Path) -> None:
    found = answer(lambda: files.load_tensors(path))
    if found:
        assert found[1] == {"step": 3}
        assert found[0].keys() == TENSORS.keys()
        assert all(torch.equal(found[0][name], tensor) for name, tensor in TENSORS.items())


@given(st.data())
def test_tensors(place: Path, tensors: bytes, data: st.DataObject) -> None:
    path = place / "a.safetensors"
    path.write_bytes(data.draw(mutated([tensors])))
    read_tensors(path)


@given(st.data())
def test_tensors_with_another_header(place: Path, tensors: bytes, data: st.DataObject) -> None:
    size = int.from_bytes(tensors[:8], "little")
    header = data.draw(astray(json.loads(tensors[8 : 8 + size])))
    path = place / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + tensors[8 + size :])
    read_tensors(path)


@given(st.data())
def test_labels_of_test(place: Path, data: st.DataObject) -> None:
    folder = paths.results(local=True)
    labels = results.Labels("classification", ("bad", "good"), 3, b"\x60", "abc")
    results.write_labels(folder, "mine", labels)
    path = results.labels_path(folder, "mine")
    facts = files.read_json(path)
    path.write_bytes(data.draw(mutated([json.dumps(facts).encode()]) | astray(facts)))
    evidence = answer(lambda: Evidence(folder, "mine"))
    assert evidence is None or set(evidence.labels.tolist()) <= {0, 1, 2}


FACTS = {
    **{"task": "mine", "kind": "classification", "labels": ["bad", "good"], "max_length": 32},
    **{"head": 0.25, "precision": "fp32", "pairs": False, "floor": 0.5, "dropout": 0.1},
}


@given(content=mutated([json.dumps(FACTS).encode()]) | astray(FACTS))
def test_recorded_facts(place: Path, content: bytes) -> None:
    folder = paths.model("mine", "tiny_mine")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runtime_facts.FACTS).write_bytes(content)
    facts = answer(lambda: runtime_facts.read_facts(folder))
    if facts:
        assert all(isinstance(label, str) for label in facts["labels"])
        assert 8 <= facts["max_length"] <= 65_536
        assert 0 <= facts["head"] <= 1
        assert facts["precision"] in ("fp32", "bf16")
        assert facts["pairs"] in (True, False)
        assert answer(lambda: teachers.find(Task("mine", ("bad", "good")), "tiny")) is None
