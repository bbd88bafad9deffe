"""Before stage 1: fetches encoders, data sets, word vectors and nltk's tagger into `data`, so that
the stages need no network. What is there already is skipped."""

import contextlib
import logging
import shutil
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from distillery import augmentation, encoders, files, hub, paths, tasks
from distillery.data import sources
from distillery.errors import UserError, choose, reason
from distillery.text import vectors as word_vectors

GLOVE = "stanfordnlp/glove"  # on the hub, whose checksums are checked
VECTORS = {  # file -> the archive that holds it
    **{f"glove.6B.{width}d.txt": "glove.6B.zip" for width in (50, 100, 200, 300)},
    **{f"glove.twitter.27B.{width}d.txt": "glove.twitter.27B.zip" for width in (25, 50, 100, 200)},
    "glove.42B.300d.txt": "glove.42B.300d.zip",
    "glove.840B.300d.txt": "glove.840B.300d.zip",
}


def run(arguments: Namespace) -> None:
    """Fetches what is named; by default all encoders and data sets of the project.

    arguments: `teacher`, `task`, `vectors` (files of `VECTORS`; from a source, of any name): lists
    or None. nltk: whether its tagger is wanted. source: an archive or folder to take the one thing
    named from, in place of the network. subset: whether that may hold a part of the official rows.
    If one cannot be fetched, the others still are; UserError at the end names those that failed.
    """
    teachers, vectors = arguments.teacher or [], arguments.vectors or []
    task_names, nltk = arguments.task or [], arguments.nltk
    source, subset = arguments.source, arguments.subset
    if source and not source.exists():
        raise UserError(f"source {source} does not exist")
    count = len(teachers) + len(task_names) + len(vectors) + nltk
    if source and count != 1:
        raise UserError("--source is for one thing: one --teacher, --task, --vectors or --nltk")
    if subset and not (source and task_names):
        raise UserError("--subset is for a data set's source: --task NAME --source PATH")
    if not count:
        teachers, task_names = list(encoders.ENCODERS), tasks.names()
    work: dict[str, Callable[[], Path | None]] = {
        **{name: partial(_encoder, name, source) for name in teachers},
        **{name: partial(_data_set, name, source, subset) for name in task_names},
        **{name: partial(_vectors, name, source) for name in vectors},
        **({augmentation.DATA: partial(_tagger, source)} if nltk else {}),
    }
    failed = []
    for name, fetch in work.items():
        try:
            folder = fetch()
        except UserError as error:
            if len(work) == 1:
                raise
            logging.error("%s: %s", name, error)
            failed.append(name)
        else:
            if folder:
                logging.info("%s: %s, %s", name, folder, files.megabytes(files.size(folder)))
    if failed:
        raise UserError(f"not fetched: {', '.join(failed)}; the same command tries them again")


@contextlib.contextmanager
def _missing(name: str, lock: str, is_there: Callable[[], object]) -> Iterator[bool]:
    """Whether to fetch something; holds the lock for it if so, once no other process does."""
    if is_there():
        logging.info("%s: skipped, it is there (to fetch it again, delete it)", name)
        yield False
        return
    with files.locked(paths.lock(lock), f"fetching {name}", wait=True):
        yield not is_there()


def _encoder(spec: str, source: Path | None) -> Path:
    weights = encoders.folder_of(spec) / encoders.WEIGHTS
    with _missing(spec, f"fetch_{weights.parent.name}", weights.is_file):
        folder = encoders.locate(spec, source)
    if not weights.is_file():
        raise UserError(f"teacher {spec}: {folder} holds no {encoders.WEIGHTS}")
    return folder


def _data_set(name: str, source: Path | None, subset: bool) -> Path | None:
    """Where the data set is; None where there is nothing to fetch."""
    task, lock = tasks.get(name), f"download_{name}"
    if task.hub is None and task.parse is None:
        logging.info("%s: skipped, its rows do not come from outside", name)
        return None

    def find() -> Path | None:
        return sources.kept(task) or sources.fetched(task)

    if source:
        rows, _ = sources.read(task, source)
        sources.check(task, rows, subset)
        with files.locked(paths.lock(lock), f"fetching {name}", wait=True):
            sources.keep(task, source)
    else:
        with _missing(name, lock, find) as missing:
            if missing:
                sources.fetch(task)
    return find()


def _vectors(name: str, source: Path | None) -> Path:
    """A file of word vectors, from the hub's archive or from the source, an archive or a text."""
    path = paths.vectors(name)
    if path.name != name:
        raise UserError(f"vectors '{name}' is not a file's name")
    with _missing(name, "vectors", path.is_file) as missing:
        if missing:
            if source is None:
                archive = VECTORS[choose("vectors", name, VECTORS)]
                folder = paths.data() / "downloads" / "vectors" / archive
                if not folder.is_dir():
                    hub.fetch(GLOVE, "main", [archive], folder, needed=archive)
                source = folder / archive
            with files.replacing(path) as temporary:
                _copy_vectors(name, source, temporary)
    return path


def _copy_vectors(name: str, source: Path, target: Path) -> None:
    """Copies a text of word vectors, or unpacks it from a zip; UserError where it is none."""
    if zipfile.is_zipfile(source):
        with files.unpacking(source), zipfile.ZipFile(source) as archive:
            if name not in archive.namelist():
                raise UserError(f"{source} holds no {name}")
            with archive.open(name) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    else:
        shutil.copyfile(source, target)
    logging.info("%s: %d vectors", name, word_vectors.count(target))


def _tagger(source: Path | None) -> Path:
    """nltk's tagger, by nltk's own download, which checks it; a zip stands in for the network."""
    name, folder = augmentation.DATA, paths.nltk()
    with _missing(name, "nltk", _nltk_finds_tagger) as missing:
        if missing and source:
            with files.replacing(folder / "taggers" / f"{name}.zip") as temporary:
                shutil.copyfile(source, temporary)
        elif missing:
            from nltk.downloader import Downloader

            try:
                Downloader().download(name, str(folder), quiet=True, raise_on_error=True)
            except (ValueError, OSError) as error:  # no network; a checksum that differs
                raise UserError(
                    f"cannot fetch nltk's {name}: {reason(error)} (without a network: --source"
                    f" {name}.zip)"
                ) from None
        if not _nltk_finds_tagger():
            (folder / "taggers" / f"{name}.zip").unlink(missing_ok=True)
            shutil.rmtree(folder / "taggers" / name, ignore_errors=True)
            raise UserError(f"{source or folder} is not nltk's {name}")
    return folder


def _nltk_finds_tagger() -> bool:
    try:
        augmentation.Tagger()
    except UserError:
        return False
    return True
