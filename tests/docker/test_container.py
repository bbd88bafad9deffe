"""The image and rundocker.sh, for real: `make test-docker` (not part of `make test`).

Needs a Docker daemon, and BASE_IMAGE where a plain Debian cannot be pulled. Run as root, it calls
rundocker.sh as a user of another id, so that a file of root's shows.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distillery import files

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INPUTS = (
    *(".dockerignore", "LICENSE", "docker", "download_requirements.sh", "requirements.txt"),
    *("rundocker.sh", "scripts", "src"),
)
IMAGE = "distillery-test"
BASE = os.environ.get("BASE_IMAGE", "debian:12")
OTHER = 12345  # a user id that no image knows
LIMIT = 2.5e9  # bytes over the base, with PyTorch's CPU build
REBUILD_SECONDS = 60
STOPPED = "distillery: stopped; run the same command again to resume"
Run = Callable[..., subprocess.CompletedProcess[str]]


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _image(field: str, image: str = IMAGE) -> str:
    return _docker("image", "inspect", "--format", f"{{{{{field}}}}}", image)


def _as_caller() -> list[str]:
    """What makes a command another user's, who may talk to the daemon, where this is root."""
    if os.getuid() != 0:
        return []
    socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    group = Path(socket).stat().st_gid if Path(socket).exists() else OTHER
    return ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", f"--groups={group}"]


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A copy of the project that another user can read, with that user's own
    `data`, `results` and `benchmarks`."""
    folder = Path(tempfile.mkdtemp(prefix="distillery-docker-"))
    folder.chmod(0o755)
    for name in INPUTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    for name in ("data", "results", "benchmarks"):
        (folder / name).mkdir()
        if os.getuid() == 0:
            os.chown(folder / name, OTHER, OTHER)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def environment(place: Path) -> dict[str, str]:
    mine = ("DISTILLERY_", "HF_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    return {**kept, "HOME": str(place), "BASE_IMAGE": BASE, "DISTILLERY_IMAGE": IMAGE}


@pytest.fixture(scope="session")
def run(place: Path, environment: dict[str, str]) -> Iterator[Run]:
    """Runs a script of the copy as the caller."""

    def call(*command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        words = [*_as_caller(), str(place / command[0]), *command[1:]]
        done = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    assert shutil.which("docker"), "docker is not installed"
    started = time.monotonic()
    print("building:", call("rundocker.sh", "true").stderr[-2000:])
    print(f"built in {time.monotonic() - started:.0f} s")
    yield call
    subprocess.run(["docker", "image", "rm", "--force", IMAGE], capture_output=True)


def test_the_image_is_as_large_as_the_readme_says(run: Run) -> None:
    cuda = run("rundocker.sh", "python3", "-c", "import torch; print(torch.version.cuda)").stdout
    size = int(_image(".Size")) - int(_image(".Size", BASE))
    print(f"size: {size / 1e9:.2f} GB over {BASE}, CUDA {cuda.strip()}")
    if cuda.strip() != "None":
        pytest.skip("PyTorch came with CUDA's libraries: the README's figure is the CPU build's")
    stated = re.search(r"([\d.]+) GB over its base", README)
    assert stated
    assert size == pytest.approx(float(stated[1]) * 1e9, rel=0.1)
    assert size < LIMIT


def test_the_image_names_its_user_by_number_and_has_an_init_and_labels(run: Run) -> None:
    user = _image(".Config.User")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert json.loads(_image("json .Config.Entrypoint"))[0] == "tini"
    assert "org.opencontainers.image.title" in json.loads(_image("json .Config.Labels"))


def test_no_data_weights_or_caches_are_in_the_image(run: Run) -> None:
    kinds = "-name '*.safetensors' -o -name '*.parquet' -o -name '*.tar.gz' -o -name .git"
    find = f"find /distillery /root /tmp /home /var/cache /var/lib/apt/lists -xdev {kinds}"
    assert run("rundocker.sh", "bash", "-c", f"{find} 2>/dev/null || true").stdout == ""
    assert run("rundocker.sh", "bash", "-c", "ls -A data results benchmarks").stdout.split() == [
        "benchmarks:",
        "data:",
        "results:",
    ]
    caches = "find /root/.cache /var/cache /var/lib/apt/lists -type f 2>/dev/null || true"
    done = _docker("run", "--rm", "--network", "none", "--user", "0", IMAGE, "bash", "-c", caches)
    assert done == ""


def test_the_container_has_no_network_no_capability_and_a_read_only_root(run: Run) -> None:
    look = "ls /sys/class/net; grep CapEff /proc/self/status; touch x; echo; id -u"
    done = run("rundocker.sh", "bash", "-c", look)
    net, capabilities, _, user = done.stdout.splitlines()
    assert net == "lo"
    assert int(capabilities.split()[1], 16) == 0
    assert int(user) == (OTHER if os.getuid() == 0 else os.getuid())
    assert "Read-only file system" in done.stderr


def test_what_is_built_is_not_built_again(run: Run) -> None:
    assert "building" not in run("rundocker.sh", "true").stderr


def test_without_a_venv_downloads_run_in_the_image(run: Run, place: Path) -> None:
    run("download_requirements.sh", "--teacher", "tiny")
    assert (place / "data/encoders/tiny/model.safetensors").is_file()


def test_the_stages_run_and_every_file_is_the_callers(run: Run, place: Path) -> None:
    [command] = re.findall(r"^\./rundocker\.sh (.*)$", README, re.MULTILINE)
    done = run("rundocker.sh", *command.replace("demo", "smoke").split())
    assert "no GPU here" in done.stderr or shutil.which("nvidia-smi")
    results = place / "results/local"
    assert (results / "distil_attention_tiny_smoke.json").is_file()
    assert (results / "smoke.png").is_file()
    owner = (OTHER, OTHER) if os.getuid() == 0 else (os.getuid(), os.getgid())
    made = [path for name in ("data", "results") for path in (place / name).rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {owner}


def _stop(
    place: Path, environment: dict[str, str], command: list[str], sign: Callable[[bytes], bool]
) -> str:
    """Starts a command in the container, sends SIGTERM to rundocker.sh once `sign` is seen (what
    is given is stderr so far), gives stderr."""
    process = subprocess.Popen(
        [*_as_caller(), str(place / "rundocker.sh"), *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    said = b""
    while piece := os.read(process.stderr.fileno(), 4096):
        said += piece
        if sign(said):
            break
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    said += process.stderr.read()
    assert process.wait() == 143, said.decode()
    assert time.monotonic() - started < 10  # after which docker stop would have killed it
    return said.decode().replace("\r", "\n")


def test_stopped_in_mid_training_it_goes_on_from_its_checkpoint(
    run: Run, place: Path, environment: dict[str, str]
) -> None:
    stage = ["scripts/student/bilstm_smoke.sh", "--epochs", "40", "--variant"]
    runs = place / "data/smoke/runs/bilstm_smoke.stopped"

    def checkpointed(_: bytes) -> bool:
        return any(runs.rglob("checkpoint.safetensors"))

    said = _stop(place, environment, [*stage, "stopped"], checkpointed)
    assert STOPPED in said.splitlines()
    assert not (place / "results/local/bilstm_smoke.stopped.json").exists()
    tensors, progress = files.load_tensors(next(runs.rglob("checkpoint.safetensors")))
    assert any(name.startswith("model.") for name in tensors)
    assert progress["step"] > 0
    assert "resuming after step" in run("rundocker.sh", *stage, "stopped").stderr
    run("rundocker.sh", *stage, "undisturbed")
    models = place / "data/smoke/models"
    weights = [
        (models / f"bilstm_smoke.{name}/model.safetensors").read_bytes()
        for name in ("stopped", "undisturbed")
    ]
    assert weights[0] == weights[1]


def test_all_the_stages_stop_together(run: Run, place: Path, environment: dict[str, str]) -> None:
    command = ["scripts/run_all.sh", "smoke", "--from", "3", "--force"]
    said = _stop(place, environment, command, lambda said: b"bilstm_smoke, seed 0" in said)
    assert STOPPED in said.splitlines()
    assert "attention" not in said


def test_a_code_change_keeps_the_layer_of_the_packages(run: Run, place: Path) -> None:
    before = json.loads(_image("json .RootFS.Layers"))
    with (place / "src/distillery/__init__.py").open("a") as file:
        file.write("CHANGED = True\n")
    started = time.monotonic()
    changed = "import distillery; print(distillery.CHANGED)"
    done = run("rundocker.sh", "python3", "-c", changed)
    seconds = time.monotonic() - started
    print(f"rebuilt in {seconds:.1f} s")
    assert "older than its inputs" in done.stderr
    assert done.stdout == "True\n"
    after = json.loads(_image("json .RootFS.Layers"))
    assert after[:-2] == before[:-2]
    assert after != before
    assert seconds < REBUILD_SECONDS
