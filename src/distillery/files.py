"""Files that are either whole or not there: atomic writes, checksums, locks, checked tensors."""

import contextlib
import fcntl
import hashlib
import json
import lzma
import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery.errors import UserError, reason

if TYPE_CHECKING:
    import torch

SUMS = "manifest.json"  # in a folder: file -> sha256 of everything else in it
DAMAGED = (  # what readers of damaged archives raise
    *(tarfile.TarError, EOFError, zlib.error, lzma.LZMAError),
    *(zipfile.BadZipFile, struct.error, ValueError),
    *(NotImplementedError, RuntimeError),  # a zip with an odd compression, or a password
)
_AGAIN = "delete it and run its stage again"


def sha256(path: Path) -> str:
    """The checksum of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(path: Path) -> str:
    """The sha256 of a file, or of the names and checksums of a folder's files."""
    if not path.is_dir():
        return sha256(path)
    return hashlib.sha256(json.dumps(sums(path)).encode()).hexdigest()


def sums(folder: Path, base: Path | None = None) -> dict[str, str]:
    """File, relative to `base` or else the folder -> sha256, of all files in a folder, in order."""
    inside = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(base or folder).as_posix(): sha256(file) for file in inside}


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
def naming(path: Path) -> Iterator[None]:
    """Makes an error of the disk name `path` if it names no file, so that the user sees it."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    except Exception as error:
        if type(error).__name__ == "SafetensorError":  # how its writer reports a full disk
            raise UserError(f"{path} cannot be written ({error})") from None
        raise


@contextlib.contextmanager
def unpacking(archive: Path) -> Iterator[None]:
    """Turns errors of reading a damaged archive into a UserError that names it."""
    try:
        yield
    except DAMAGED as error:
        raise UserError(f"{archive} cannot be read ({reason(error)}): is it whole?") from None


def let_read(path: Path) -> None:
    """Makes a file as readable as its folder: libraries create theirs for the owner alone."""
    path.chmod(path.parent.stat().st_mode & 0o444 | 0o200)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`; on success it takes the place of `path`.

    A kill leaves either the old file or the new one. The temporary name is fixed, so the next try
    overwrites what a kill leaves behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    try:
        with naming(path):
            yield temporary
        let_read(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Like `replacing`, for a folder, which is sealed with the checksums of its files.

    The old folder is set aside until the new one is in place. A kill between the two renames
    leaves it there, whole, where the next try finds it.
    """
    temporary, aside = path.with_name(path.name + ".partial"), path.with_name(path.name + "~")
    shutil.rmtree(temporary, ignore_errors=True)
    if aside.exists():
        aside.replace(temporary if path.exists() else path)
        shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with naming(path):
            yield temporary
        seal(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if path.exists():
        path.replace(aside)
    temporary.replace(path)
    if aside.exists():
        aside.replace(temporary)
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def seal(folder: Path) -> None:
    """Writes the checksums of a complete folder's files into its manifest, for `check_folder`."""
    for file in folder.rglob("*"):
        if file.is_file():
            let_read(file)
    write_json(folder / SUMS, sums(folder))


def check_folder(folder: Path, remedy: str) -> dict[str, str]:
    """The checksums in a folder's manifest; UserError, with the remedy, if a file differs.

    Empty without a manifest: the folder is not one of ours.
    """
    if not (folder / SUMS).is_file():
        return {}
    expected = read_json(folder / SUMS, remedy=remedy)
    for name in changed(folder, expected):
        raise UserError(f"{folder / name} is missing or damaged: {remedy}")
    return expected


def changed(folder: Path, expected: Mapping[str, str]) -> Iterator[str]:
    """Names of the files in a folder that are missing or have another checksum."""
    for name, checksum in expected.items():
        if not (folder / name).is_file() or sha256(folder / name) != checksum:
            yield name


def check_writable(folder: Path) -> None:
    """Raises OSError if no file can be made in `folder`, before hours of work and not after."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON object with a checksum of its values added to it."""
    text = json.dumps(value, ensure_ascii=False)
    whole = {**json.loads(text), "checksum": short_hash(json.loads(text))}
    write_text(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, *required: str, remedy: str = _AGAIN) -> dict[str, Any]:
    """The object in a JSON file, without its checksum, which may be missing unless it is required.

    UserError, with the remedy, if the file is missing, damaged, no object, or lacks one of the
    `required` keys.
    """

    def damaged(how: object) -> UserError:
        return UserError(f"{path} is damaged ({how}): {remedy}")

    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be shown
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} is missing") from None
    except (ValueError, RecursionError) as error:
        raise damaged(error) from None
    if not isinstance(value, dict):
        raise damaged("no JSON object")
    for key in required:
        if key not in value:
            raise damaged(f"no '{key}'")
    checksum = value.pop("checksum", None)
    if checksum is not None and checksum != short_hash(value):
        raise damaged("its checksum differs")
    return value


@contextlib.contextmanager
def locked(path: Path, what: str, wait: bool = False) -> Iterator[None]:
    """Holds the lock file `path` for `what`; a second holder waits, or gets a UserError that names
    the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            raise UserError(f"{file.read() or what} is running already (lock {path})") from None
        file.truncate(0)
        file.write(what)
        file.flush()
        yield


def _digest(tensors: Mapping[str, "torch.Tensor"], facts: str) -> str:
    import torch

    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        flat = tensors[name].detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_tensors(
    path: Path, tensors: Mapping[str, "torch.Tensor"], metadata: dict[str, str] | None = None
) -> None:
    """Writes named tensors as a safetensors file, atomically.

    The library writes under a random name first: here in a folder with a fixed name, so that the
    next try removes what a kill leaves behind.
    """
    from safetensors.torch import save_file

    folder = path.with_name(path.name + ".folder.partial")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with replacing(path) as temporary:
            folder.mkdir()
            save_file(dict(tensors), folder / path.name, metadata=metadata)
            (folder / path.name).replace(temporary)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_tensors(folder: Path, keep: Path | None = None) -> None:
    """Deletes the safetensors files under `folder`, half-written ones too, but not those in the
    folder `keep`."""
    for path in list(folder.glob("**/*.safetensors*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.parent != keep:
            path.unlink(missing_ok=True)


def save_tensors(
    path: Path, tensors: Mapping[str, "torch.Tensor"], facts: Mapping[str, Any]
) -> None:
    """Writes named tensors and JSON-like facts as one safetensors file, atomically, with a checksum
    of both."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    write_tensors(path, tensors, {"facts": text, "digest": _digest(tensors, text)})


def load_tensors(
    path: Path, remedy: str = "delete it and start again"
) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """What `save_tensors` wrote; UserError, with the remedy, if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path} is missing: {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = json.loads(metadata["facts"])
    except (SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from None
    if metadata.get("digest") != _digest(tensors, metadata["facts"]):
        raise UserError(f"{path} is damaged (its checksum differs): {remedy}")
    return tensors, facts
