"""How large the project is, and how deep its path to the optimizer, beside an earlier revision.

    python -m benchmarks.size [REVISION] [--files]

The path is measured: the script that distils a BiLSTM runs on the task `smoke`, in folders of its
own, and is stopped in its first optimizer step.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "b2d7de9"
SCRIPT = "scripts/distillation/bilstm_{teacher}_{task}.sh"
INPUTS = ("data --task smoke", "teacher --task smoke --teacher tiny")
HELP = "distil --task imdb --teacher minilm --student bilstm --help"
IS_FUNCTION = 0x1  # CO_OPTIMIZED: not the body of a module or class


def trace(root: str, report: str) -> None:
    """Runs in the traced process, as its `sitecustomize`: writes `report` and exits when the first
    optimizer step begins.

    The report holds the frames of `root` on the call stack (outermost first, `FILE:FUNCTION`) and
    the files of `root` of which a function ran, not counting what runs while a module is imported.
    """
    import threading

    touched: set[str] = set()

    def frames(frame: Any) -> list[Any]:
        stack = []
        while frame is not None:
            stack.append(frame)
            frame = frame.f_back
        return stack[::-1]

    def on_call(frame: Any, event: str, argument: object) -> None:
        code = frame.f_code
        name = code.co_filename
        if name.startswith(root):
            if name not in touched and code.co_flags & IS_FUNCTION:
                stack = frames(frame)
                if not any(f.f_code.co_filename.startswith("<frozen importlib") for f in stack):
                    touched.add(name)
        elif code.co_name == "step" and re.search(r"/torch/optim/(?!lr_scheduler)", name):
            stack = [f.f_code for f in frames(frame) if f.f_code.co_filename.startswith(root)]
            found = {
                "stack": [f"{code.co_filename}:{code.co_name}" for code in stack],
                "touched": sorted(touched),
            }
            Path(report).write_text(json.dumps(found), encoding="utf-8")
            os._exit(0)

    threading.settrace(on_call)
    sys.settrace(on_call)


def source(tree: Path) -> dict[str, int]:
    """Files and lines of the package."""
    texts = [path.read_text(encoding="utf-8") for path in (tree / "src").rglob("*.py")]
    return {
        "source files": len(texts),
        "source lines": sum(len(text.splitlines()) for text in texts),
    }


def options(text: str) -> int:
    """How many options, besides --help, argparse's help text lists."""
    return len(re.findall(r"^  --[a-z]", text, re.MULTILINE))


def path_to_step(tree: Path, place: Path) -> dict[str, list[str]]:
    """The path from the script to the optimizer step, as paths within `tree`: `frames` on the
    call stack, `files` of that stack and files that `ran`, the last two with the scripts.

    place: an empty folder for what the commands make.
    """
    env = {
        **os.environ,
        "DISTILLERY_DATA": str(place / "data"),
        "DISTILLERY_RESULTS": str(place / "results"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    for command in INPUTS:
        _run([str(tree / "scripts/distillery"), *command.split()], env)
    script = tree / SCRIPT.format(teacher="tiny", task="smoke")
    report, shells = place / "report.json", place / "shells"
    start = f"import runpy\nrunpy.run_path({__file__!r})['trace']({str(tree / 'src')!r}, "
    (place / "sitecustomize.py").write_text(f"{start}{str(report)!r})\n")
    (place / "bash_env").write_text('readlink -f -- "$0" >>"$SHELLS"\n')  # each bash reads it
    more = {"PYTHONPATH": str(place), "BASH_ENV": str(place / "bash_env"), "SHELLS": str(shells)}
    _run([str(script)], env | more)
    found = json.loads(report.read_text(encoding="utf-8"))
    scripts = set(shells.read_text().split())
    paths = {
        "frames": found["stack"],
        "files": sorted(scripts | {frame.rpartition(":")[0] for frame in found["stack"]}),
        "ran": sorted(scripts | {*found["touched"]}),
    }
    return {name: [path.removeprefix(f"{tree}/") for path in some] for name, some in paths.items()}


def measure(tree: Path) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Everything that is compared, of the project in `tree`; and the path behind the numbers."""
    help_text = _run([str(tree / "scripts/distillery"), *HELP.split()], dict(os.environ))
    with tempfile.TemporaryDirectory() as place:
        path = path_to_step(tree, Path(place))
    counts = {
        **source(tree),
        "options of distil": options(help_text),
        "files on the call stack of the optimizer step, scripts included": len(path["files"]),
        "frames of the project on that stack": len(path["frames"]),
        "files run on the way to that step, scripts included": len(path["ran"]),
    }
    return counts, path


def table(columns: dict[str, dict[str, int]]) -> str:
    """Revision -> measures, as a table with a column each."""
    names = next(iter(columns.values()))
    width = max(map(len, names))
    rows = [f"{'':{width}}" + "".join(f"  {revision:>10}" for revision in columns)]
    for name in names:
        values = (counts[name] for counts in columns.values())
        rows.append(f"{name:{width}}" + "".join(f"  {value:>10,}" for value in values))
    return "\n".join(rows)


def _run(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "revision", nargs="?", default=BASELINE, help=f"revision to compare with [{BASELINE}]"
    )
    parser.add_argument("--files", action="store_true", help="list the stack and the files too")
    arguments = parser.parse_args()
    revision = arguments.revision
    with tempfile.TemporaryDirectory() as place:
        tree, archive = Path(place) / "tree", Path(place) / "tree.tar"
        tree.mkdir()
        git = ["git", "-C", str(ROOT), "archive", "--output", str(archive), revision]
        _run(git, dict(os.environ))
        _run(["tar", "-xf", str(archive), "-C", str(tree)], dict(os.environ))
        (tree / ".venv").symlink_to(sys.prefix)
        now, path = measure(ROOT)
        print(table({"now": now, revision: measure(tree)[0]}))
    if arguments.files:
        for name, some in path.items():
            print(f"\n{name} now:", *some, sep="\n  ")


if __name__ == "__main__":
    main()
