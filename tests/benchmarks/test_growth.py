"""The growth benchmark's own arithmetic; no time is asserted."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np

from benchmarks import growth
from distillery import files
from tests.conftest import WarmPython

ROOT = Path(__file__).resolve().parents[2]


def test_the_fewest_rows_are_measured_around_the_others() -> None:
    assert growth.order((500, 5, 50)) == [5, 50, 5, 500, 5]
    assert growth.order((5, 50)) == [5, 50, 5, 5]
    assert growth.order((5,)) == [5, 5, 5]


def _before_and_after(place: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The memory of a process before and after it made 32 MB and mapped 16 MB."""
    before = growth.Memory().stop()
    memory = growth.Memory()
    made = np.ones(4_000_000)
    np.zeros(2_000_000).tofile(place)
    mapped = np.memmap(place, np.float64, "r")
    assert float(mapped.sum() + made.sum()) == 4_000_000
    return before, memory.stop()


def test_own_memory_is_told_apart_from_mapped_files(
    tmp_path: Path, warm_python: WarmPython
) -> None:
    code = (
        "import json, pathlib, sys; from tests.benchmarks import test_growth\n"
        "print(json.dumps(test_growth._before_and_after(pathlib.Path(sys.argv[1]))))"
    )
    done = subprocess.run(  # a new process, with nothing freed to use again
        [warm_python.path, "-c", code, tmp_path / "mapped"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        check=True,
    )
    before, found = json.loads(done.stdout)
    assert 25e6 < found["own_memory"] - before["own_memory"] < 60e6
    assert 14e6 < found["mapped_memory"] - before["mapped_memory"] < 30e6
    assert found["peak_memory"] >= found["own_memory"] + before["mapped_memory"]


def test_rows_are_compared_with_the_fewest_of_their_kind() -> None:
    one = {"work": "recording", "rows": 10, "seconds": 2.0, "cpu_seconds": 3.0}
    other = {"work": "recording", "rows": 100, "seconds": 22.0, "cpu_seconds": 30.0}
    memory = dict.fromkeys(growth.MEMORY.values(), 2**30)
    found = {
        "commit": {"head": "abc", "dirty": False},
        "environment": {"cpu": "one", "threads": 2, "device": "cpu", "torch": "2"},
        "encoder": "minilm",
        "rows": [one | memory, other | memory | {"own_memory": 1.5 * 2**30}],
    }
    last = growth.report(found).splitlines()[-1]
    assert last == (
        "| recording | 100 | 5 | 22.0 (1.100) | 30.0 (1.000)"
        " | 1.000 GiB (1.000) | 1.500 GiB (1.500) | 1.000 GiB (1.000) |"
    )


def test_the_committed_page_is_that_of_its_figures() -> None:
    found = files.read_json(ROOT / "benchmarks/growth.json")
    assert (ROOT / "benchmarks/growth.md").read_text() == growth.report(found)
