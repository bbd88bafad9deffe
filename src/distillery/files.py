"""Files that are either whole or not there: atomic writes, checksums, locks, checked tensors."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery.errors import UserError

if TYPE_CHECKING:
    import torch


def sha256(path: Path) -> str:
    """The checksum of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def megabytes(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1e6:.1f} MB"


def size(path: Path) -> int:
    """The bytes in a file, or in all files of a folder."""
    inside = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in inside if file.is_file())


def short_hash(value: Any) -> str:
    """Twelve hexadecimal digits that name a JSON-like value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`; on success it takes the place of `path`.

    A kill leaves either the old file or the new one. The temporary name is fixed, so that what a
    kill leaves behind is overwritten by the next try.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Like `replacing`, for a folder: an old one goes only when the new one is complete."""
    temporary = path.with_name(path.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if path.exists():
        shutil.rmtree(path)
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, *required: str) -> dict[str, Any]:
    """The object in a JSON file; UserError where it is missing, truncated, no object, or without
    one of the `required` keys."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and run its stage again") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged (no JSON object): delete it and run its stage again")
    for key in required:
        if key not in value:
            raise UserError(f"{path} is damaged (no '{key}'): delete it and run its stage again")
    return value


@contextlib.contextmanager
def locked(path: Path, what: str, wait: bool = False) -> Iterator[None]:
    """Holds the lock file `path`; a second holder waits, or is refused by the name `what`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise UserError(f"{what} is running already (lock {path})") from None
        yield


def _digest(tensors: Mapping[str, "torch.Tensor"], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_tensors(
    path: Path, tensors: Mapping[str, "torch.Tensor"], facts: Mapping[str, Any]
) -> None:
    """Writes named tensors and a JSON-like dictionary of facts as one safetensors file, atomically.

    A checksum of all goes with them: `load_tensors` finds a truncated or changed file.
    """
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    metadata = {"facts": text, "digest": _digest(tensors, text)}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_tensors(path: Path) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """What `save_tensors` wrote. Raises UserError where the file is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path} is missing")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = json.loads(metadata["facts"])
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and start again") from None
    if metadata.get("digest") != _digest(tensors, metadata["facts"]):
        raise UserError(f"{path} is damaged (its checksum differs): delete it and start again")
    return tensors, facts
