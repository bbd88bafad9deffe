"""What `make size` counts, on a project of three files."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import size

FILES = {
    "torch/optim/adam.py": "class Adam:\n    def step(self):\n        raise SystemExit('it ran')\n",
    "torch/optim/lr_scheduler.py": "def step():\n    pass\n",
    "src/main.py": "import used\nimport unused\n\ndef main():\n    used.train()\n\nmain()\n",
    "src/used.py": (
        "from torch.optim import adam, lr_scheduler\n\n"
        "def train():\n    lr_scheduler.step()\n    adam.Adam().step()\n"
    ),
    "src/unused.py": "class Table:\n    rows = [str(n) for n in range(3)]\n\nstr(Table())\n",
}


def _write(folder: Path) -> None:
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_the_path_ends_in_the_first_optimizer_step(tmp_path: Path) -> None:
    _write(tmp_path)
    source, report = tmp_path / "src", tmp_path / "report.json"
    code = (
        f"import runpy, sys; sys.path[:0] = [{str(source)!r}, {str(tmp_path)!r}]\n"
        f"runpy.run_path({size.__file__!r})['trace']({str(source)!r}, {str(report)!r})\n"
        "import runpy; runpy.run_module('main', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-SE", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(report.read_text())
    assert found["stack"] == [
        f"{source}/main.py:<module>",
        f"{source}/main.py:main",
        f"{source}/used.py:train",
    ]
    assert found["touched"] == [f"{source}/main.py", f"{source}/used.py"], "not what imports run"


def test_lines_and_options_are_counted(tmp_path: Path) -> None:
    _write(tmp_path)
    assert size.source(tmp_path) == {"source files": 3, "source lines": 16}
    listed = "  -h, --help  this\n  --task TASK\n              one of --these\n  --force\n"
    assert size.options(listed) == 2


def test_revisions_stand_side_by_side() -> None:
    rows = size.table({"now": {"lines": 1234}, "b2d7de9": {"lines": 15}}).splitlines()
    assert [row.split() for row in rows] == [["now", "b2d7de9"], ["lines", "1,234", "15"]]
