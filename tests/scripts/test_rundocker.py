"""What rundocker.sh asks of Docker; tests/docker runs it for real."""

import csv
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKER = """#!/bin/sh
case "$1 $2" in
  "info "*) echo "$RUNTIMES" ;;
  "image inspect") echo "$LABEL" ;;
  build*) printf '%s\\n' "$@" >"$CALLS/build" ;;
  run*) printf '%s\\n' "$@" >"$CALLS/run" ;;
esac
"""
# Many GPUs are listed one after the other.
GPUS = "echo GPU 0: one; sleep 0.2; echo GPU 1: two; echo GPU 2: three"


def rundocker(
    folder: Path,
    *arguments: str,
    gpu: bool = False,
    script: str = str(ROOT / "rundocker.sh"),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Runs it with a `docker` that writes down what it was asked."""
    commands = {
        "docker": DOCKER,
        "nvidia-smi": f"#!/bin/sh\n{GPUS if gpu else 'false'}\n",
    }
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    places = {f"DISTILLERY_{name}": str(folder / name.lower()) for name in ("DATA", "RESULTS")}
    settings = {"CALLS": str(folder), "PATH": f"{folder}:{os.environ['PATH']}", **places}
    return subprocess.run(
        [script, *arguments],
        cwd=ROOT.parent,
        env={**os.environ, **settings, "RUNTIMES": "", "LABEL": "", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def asked(folder: Path, what: str = "run") -> list[str]:
    return (folder / what).read_text().splitlines()


@pytest.mark.parametrize(
    ("gpu", "runtimes", "used", "said"),
    [
        (False, '{"runc":{}}', False, "no GPU here: using the CPU"),
        (True, '{"runc":{}}', False, "install nvidia-container-toolkit"),
        (True, '{"nvidia":{},"runc":{}}', True, ""),
    ],
)
def test_gpus_are_used_where_docker_reaches_them(
    tmp_path: Path, gpu: bool, runtimes: str, used: bool, said: str
) -> None:
    done = rundocker(tmp_path, "true", gpu=gpu, RUNTIMES=runtimes)
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert ("--gpus" in asked(tmp_path)) == used


def test_the_network_is_only_there_where_asked_for(tmp_path: Path) -> None:
    rundocker(tmp_path, "true")
    run = asked(tmp_path)
    assert run[run.index("--network") + 1] == "none"
    assert "HF_HUB_OFFLINE=1" in run
    rundocker(tmp_path, "--network", "host", "scripts/distillery", "--help")
    run = asked(tmp_path)
    assert run[run.index("--network") + 1] == "host"
    assert "HF_HUB_OFFLINE=1" not in run
    assert "HF_ENDPOINT" in run
    assert run[-3:] == ["distillery", "scripts/distillery", "--help"]


def test_it_builds_where_the_inputs_changed(tmp_path: Path) -> None:
    said = rundocker(tmp_path, "true", BASE_IMAGE="debian:12").stderr
    assert "building distillery" in said
    build = asked(tmp_path, "build")
    assert build[build.index("--build-arg") + 1] == "BASE_IMAGE"
    label = build[build.index("--label") + 1].partition("=")[2]
    assert "building" not in rundocker(tmp_path, "true", LABEL=label, BASE_IMAGE="debian:12").stderr
    assert "older than its inputs" in rundocker(tmp_path, "true", LABEL=label).stderr


def test_without_a_command_it_names_the_stages(tmp_path: Path) -> None:
    assert "scripts/run_all.sh TASK" in rundocker(tmp_path).stderr
    assert asked(tmp_path)[-1] == "distillery"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--netwrok", "none"], "unknown option '--netwrok'"),
        (["--network"], "needs a value"),
        (["--network=host"], "write --network host"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, arguments: list[str], expected: str) -> None:
    done = rundocker(tmp_path, *arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert not (tmp_path / "run").exists()


def test_folders_are_mounted_whatever_they_are_called(tmp_path: Path) -> None:
    odd = tmp_path / 'Ü, "b" c'
    done = rundocker(tmp_path, "true", DISTILLERY_DATA=str(odd))
    assert done.returncode == 0, done.stderr
    assert odd.is_dir()
    [value] = [line for line in asked(tmp_path) if line.endswith("target=/distillery/data")]
    [fields] = csv.reader([value])
    assert fields == ["type=bind", f"source={odd}", "target=/distillery/data"]


def test_benchmarks_lie_beside_results_put_elsewhere(tmp_path: Path) -> None:
    for place, told in (("", False), (str(tmp_path / "mine"), True)):
        assert rundocker(tmp_path, "true", DISTILLERY_RESULTS=place).returncode == 0
        assert ("DISTILLERY_RESULTS=/distillery/results" in asked(tmp_path)) == told


def test_a_file_in_place_of_a_folder_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = rundocker(tmp_path, "true", DISTILLERY_RESULTS=str(tmp_path / "file"))
    assert done.returncode == 2
    assert f"results: {tmp_path / 'file'} is no folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "build").exists()


def test_a_cdpath_does_not_lead_it_astray(tmp_path: Path) -> None:
    script = f"{ROOT.name}/rundocker.sh"
    done = rundocker(tmp_path, "true", script=script, CDPATH=".", DISTILLERY_DATA="")
    assert done.returncode == 0, done.stderr
    assert "No such file" not in done.stderr
    build = asked(tmp_path, "build")
    assert build[-2:] == ["distillery", str(ROOT)]
