"""Files that are either whole or not there: atomic writes, checksums, locks, checked tensors."""

import contextlib
import fcntl
import hashlib
import json
import lzma
import os
import shutil
import struct
import sys
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
    """Of a file its sha256; of a folder that of its files' names and checksums."""
    if not path.is_dir():
        return sha256(path)
    inside = sorted(file for file in path.rglob("*") if file.is_file())
    sums = {file.relative_to(path).as_posix(): sha256(file) for file in inside}
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()


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


def _safetensors_error() -> type[Exception] | tuple[()]:
    """What safetensors raises; nothing where it is not loaded, as in the runtime."""
    found: type[Exception] | tuple[()] = getattr(
        sys.modules.get("safetensors"), "SafetensorError", ()
    )
    return found


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of the disk in here names `path` where it names no file, so that a user sees it."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    except _safetensors_error() as error:  # how a full disk looks to the writer of weights
        raise UserError(f"{path} cannot be written ({error})") from None


@contextlib.contextmanager
def unpacking(archive: Path) -> Iterator[None]:
    """UserError that names `archive` where reading it in here shows that it is damaged."""
    try:
        yield
    except DAMAGED as error:
        raise UserError(f"{archive} cannot be read ({reason(error)}): is it whole?") from None


def let_read(path: Path) -> None:
    """Lets everyone read a file who may look into its folder.

    Libraries write under a name of `tempfile`, whose files are their owner's alone.
    """
    path.chmod(path.parent.stat().st_mode & 0o444 | 0o200)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`; on success it takes the place of `path`.

    A kill leaves either the old file or the new one. The temporary name is fixed, so that what a
    kill leaves behind is overwritten by the next try.
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
    """Like `replacing`, for a folder: an old one steps aside when the new one is complete.

    Its manifest, which is written last, holds the checksums of its files for `check_folder`. A
    kill between the two renames leaves the old one, whole, aside, where the next try finds it;
    what is deleted is always under the temporary name.
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
    """Writes the manifest of a folder whose files are all written: their checksums, for
    `check_folder`."""
    inside = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in inside:
        let_read(file)
    sums = {file.relative_to(folder).as_posix(): sha256(file) for file in inside}
    write_json(folder / SUMS, sums)


def check_folder(folder: Path, remedy: str) -> dict[str, str]:
    """The checksums in the manifest of a folder; UserError where a file is not as it says.

    Empty where there is no manifest: others made the folder, and nothing is known of it.
    remedy: what the user is told to do.
    """
    if not (folder / SUMS).is_file():
        return {}
    sums = read_json(folder / SUMS, remedy=remedy)
    for name in changed(folder, sums):
        raise UserError(f"{folder / name} is missing or damaged: {remedy}")
    return sums


def changed(folder: Path, sums: Mapping[str, str]) -> Iterator[str]:
    """Names of the files in a folder that are missing or have another checksum."""
    for name, checksum in sums.items():
        path = folder / name
        if not path.is_file() or sha256(path) != checksum:
            yield name


def check_writable(folder: Path) -> None:
    """OSError where no file can be made in `folder`: known before hours of work, not after."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON object, with a checksum of its values among them."""
    text = json.dumps(value, ensure_ascii=False)
    whole = {**json.loads(text), "checksum": short_hash(json.loads(text))}
    write_text(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, *required: str, remedy: str = _AGAIN) -> dict[str, Any]:
    """The object in a JSON file, without its checksum.

    UserError where it is missing, truncated, changed, no object, or without one of the `required`
    keys. Files without a checksum are read too: where one byte changed the name of that key, the
    rest is whole. remedy: what the user is told to do.
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
    checksum = value.pop("checksum", None)
    if checksum is not None and checksum != short_hash(value):
        raise damaged("its checksum differs")
    for key in required:
        if key not in value:
            raise damaged(f"no '{key}'")
    return value


@contextlib.contextmanager
def locked(path: Path, what: str, wait: bool = False) -> Iterator[None]:
    """Holds the lock file `path` for `what`; a second holder waits, or is refused by the name of
    what holds it."""
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

    The library writes under a random name first. It does so in a folder with a fixed name, so that
    what a kill leaves behind goes with the next try.
    """
    from safetensors.torch import save_file

    place = path.with_name(path.name + ".folder.partial")
    shutil.rmtree(place, ignore_errors=True)
    try:
        with replacing(path) as temporary:
            place.mkdir()
            save_file(dict(tensors), place / path.name, metadata=metadata)
            (place / path.name).replace(temporary)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def remove_tensors(folder: Path, keep: Path | None = None) -> None:
    """Deletes the safetensors files under `folder` and what a kill left of one that was being
    written. keep: a folder in it whose own stay."""
    for path in list(folder.glob("**/*.safetensors*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.parent != keep:
            path.unlink(missing_ok=True)


def save_tensors(
    path: Path, tensors: Mapping[str, "torch.Tensor"], facts: Mapping[str, Any]
) -> None:
    """Writes named tensors and a JSON-like dictionary of facts as one safetensors file, atomically.

    A checksum of all goes with them: `load_tensors` finds a truncated or changed file.
    """
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    write_tensors(path, tensors, {"facts": text, "digest": _digest(tensors, text)})


def load_tensors(
    path: Path, remedy: str = "delete it and start again"
) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """What `save_tensors` wrote. Raises UserError where the file is missing or damaged.

    remedy: what the user is told to do.
    """
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
