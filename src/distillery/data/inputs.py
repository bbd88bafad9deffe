"""A user's file: pipes, gzip and text encodings, and which columns hold the text and the label."""

import codecs
import contextlib
import gzip
import io
import shutil
import stat
import tempfile
import weakref
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from distillery.errors import UserError, reason

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16-LE", b"\xfe\xff": "UTF-16-BE"}
_CHUNK = 1 << 20


@contextlib.contextmanager
def spooled(given: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Paths whose content can be read more than once, such as for a checksum and then the rows.

    given: role -> path. Pipes are copied to temporary files that are deleted at the end. The copy
    keeps the name of a named pipe; others are called by their role, so the name does not depend on
    which file descriptor the shell happened to choose. UserError for what is no file or pipe.
    """
    with tempfile.TemporaryDirectory(prefix="distillery-") as folder:
        yield {role: _spooled(path, role, Path(folder)) for role, path in given.items()}


def _spooled(path: Path, role: str, folder: Path) -> Path:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"data file {path} does not exist") from None
    except OSError as error:
        raise UserError(f"data file {path} cannot be read ({error.strerror})") from None
    if stat.S_ISDIR(mode):
        raise UserError(f"data file {path} is a folder: name the file in it")
    if stat.S_ISBLK(mode):
        raise UserError(f"data file {path} is neither a file nor a pipe")
    if stat.S_ISREG(mode):
        return path
    nameless = path.parent.is_relative_to("/dev") or path.parent.is_relative_to("/proc")
    copy = folder / role / (role if nameless else path.name)
    try:
        copy.parent.mkdir()
        with path.open("rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
    except OSError as error:
        raise UserError(f"data file {path} cannot be copied ({error.strerror})") from None
    return copy


class Source:
    """A user's file, opened as often as needed.

    path: as the user wrote it, for messages. kind: a suffix of `SUFFIXES`, or "" for a table whose
    delimiter nothing tells. Temporary files are deleted with this object.
    """

    def __init__(self, path: Path) -> None:
        self.path = self._file = path
        with self.explained():
            with path.open("rb") as file:
                head = file.read(4096)
            self._packed = head.startswith(_GZIP)
            if path.suffix.lower() == ".gz" and head and not self._packed:
                raise UserError(f"data file {path} is not gzip: its name should not end in .gz")
            with self.binary() as file:
                head = file.read(4096)
        if not head:
            raise UserError(f"data file {path} is empty")
        self._bom = head[:2]
        self.kind = self._named_kind() or self._sniffed_kind(head)

    def _named_kind(self) -> str:
        name = self.path.name
        suffix = Path(name[:-3] if name.lower().endswith(".gz") else name).suffix.lower()
        if suffix and suffix not in SUFFIXES:
            raise UserError(
                f"data file {self.path} has the unknown suffix '{suffix}':"
                f" choose from {', '.join(SUFFIXES)}, each also with .gz"
            )
        return suffix

    def _sniffed_kind(self, head: bytes) -> str:
        """The kind of a file whose name doesn't tell, such as a pipe."""
        if head.startswith(_PARQUET):
            return ".parquet"
        start = head.decode(self._encoding, "ignore").lstrip("\ufeff \t\r\n")[:1]
        return ".jsonl" if start in ("{", "[") else ""

    def error(self, place: str, fault: str) -> UserError:
        """The error of a fault at a place of the file, such as a row."""
        return UserError(f"data file {self.path}, {place}: {fault}")

    def binary(self) -> BinaryIO:
        """The content, unpacked, as a stream of bytes."""
        if self._packed:
            return cast(BinaryIO, gzip.open(self._file, "rb"))
        return self._file.open("rb")

    def unpacked(self) -> Path:
        """A file of the content, for formats that are not read from start to end."""
        if self._packed:
            folder = tempfile.mkdtemp(prefix="distillery-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            unpacked = Path(folder) / "unpacked"
            with self.binary() as source, unpacked.open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
            self._file, self._packed = unpacked, False
        return self._file

    def text(self, newline: str = "") -> TextIO:
        """The content as text, in UTF-16 if a byte order mark says so; newline as in `open`."""
        encoding = "utf-8-sig" if self._encoding == "UTF-8" else "utf-16"
        return io.TextIOWrapper(self.binary(), encoding, newline=newline)

    @property
    def _encoding(self) -> str:
        return _BYTE_ORDER_MARKS.get(self._bom, "UTF-8")

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turns errors of reading into a UserError that names the file and the place in it."""
        try:
            yield
        except UnicodeDecodeError:
            raise UserError(f"data file {self.path} {self._undecodable()}") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(
                f"data file {self.path} cannot be unpacked ({reason(error)}): is it whole?"
            ) from None
        except OSError as error:
            raise UserError(f"data file {self.path} cannot be read ({error.strerror})") from None

    def _undecodable(self) -> str:
        """Where the first byte is that is not text: decoders count from their last buffer."""
        decoder = codecs.getincrementaldecoder(self._encoding)()
        read, line = 0, 1
        with self.binary() as file:
            while True:
                chunk = file.read(_CHUNK)
                read += len(chunk)
                try:
                    line += decoder.decode(chunk, final=not chunk).count("\n")
                except UnicodeDecodeError as error:
                    before = error.object[: error.start]
                    line += before.decode(self._encoding).count("\n")
                    byte = read - len(error.object) + error.start
                    name = self._encoding.removesuffix("-LE").removesuffix("-BE")
                    return f"is not {name} (byte {byte}, line {line})"
                if not chunk:
                    return "changed while it was read"


LABEL = ("label", "labels", "sentiment", "class", "category", "target", "stars", "rating", "score")
OBVIOUS = {
    "text": ("text", "sentence", "review", "content", "body", "document", "sentence1"),
    "text_pair": ("text_pair", "sentence2"),
    "label": LABEL,
}


@dataclass(frozen=True)
class Columns:
    """Column names; None means: find the column by its usual names."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None


USUAL = Columns()


def plain(name: str) -> str:
    """A column name without case and surrounding blanks, for comparing names."""
    return name.strip().casefold()


def text_names(columns: Columns) -> set[str]:
    """The plain names that the text column may have."""
    return {plain(columns.text)} if columns.text is not None else {*OBVIOUS["text"]}


def find_columns(
    file: str, names: Sequence[str], columns: Columns, roles: Sequence[str] = (*OBVIOUS,)
) -> Columns:
    """Resolves `columns` against the column names of a file.

    Columns that the user names are taken first; then each other role gets the first of its usual
    names that is left. An exact name goes before one that differs in case or surrounding blanks.
    Roles that are not in `roles` get None.
    Raises UserError if a named column is missing, if one column is named for two roles, if two
    columns fit equally well, or if no column fits the text.
    """
    by_plain_name = defaultdict[str, list[str]](list)
    for name in names:
        by_plain_name[plain(name)].append(name)

    def matching(wanted: str, role: str, taken: Collection[str | None] = ()) -> str | None:
        similar = [name for name in by_plain_name[plain(wanted)] if name not in taken]
        exact = [name for name in similar if name == wanted]
        return _only(file, exact or similar, wanted, role)

    found: dict[str, str | None] = {}
    for role in roles:
        named = getattr(columns, role)
        if named is None:
            continue
        match = matching(named, role)
        if match is None:
            raise UserError(
                f"unknown column in {file} ({option(role)}) '{named}': choose from {listed(names)}"
            )
        for other, taken in found.items():
            if match == taken:
                both = f"{option(other)} and {option(role)}"
                raise UserError(f"column '{match}' in {file} cannot be {both} at once")
        found[role] = match
    for role in roles:
        if role not in found:
            matches = (matching(usual, role, found.values()) for usual in OBVIOUS[role])
            found[role] = next((name for name in matches if name is not None), None)
    if found["text"] is None:
        raise UserError(
            f"{file} has no obvious text column among {listed(names)}: name it with --text-column"
        )
    return Columns(**found)


def _only(file: str, matches: Sequence[str], wanted: str, role: str) -> str | None:
    """The one column that matches, None if none does."""
    if len(matches) > 1 and len(set(matches)) == 1:
        raise UserError(f"{file} has two columns named '{matches[0]}': rename one of them")
    if len(matches) > 1:
        raise UserError(
            f"two columns of {file} fit '{wanted}': {listed(matches)}: name one with {option(role)}"
        )
    return matches[0] if matches else None


def option(role: str) -> str:
    """The command line's option for a role."""
    return f"--{role.replace('_', '-')}-column"


def listed(names: Sequence[str]) -> str:
    """Column names for a message: the first 20, each cut to 60 characters."""
    shown = [name if len(name) <= 60 else f"{name[:60]}..." for name in names[:20]]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"{', '.join(shown)}{more}" if names else "no named columns"
