"""Before stage 1: what comes from outside, fetched into `data`, so that stages need no network.
What is there stays; what was stopped goes on."""

import contextlib
import logging
import shutil
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from distillery import encoders, files, hub, paths, tasks
from distillery.augmentation import part_of_speech
from distillery.data import downloads, sources
from distillery.errors import UserError, choose, reason
from distillery.text import vectors as word_vectors

GLOVE = "stanfordnlp/glove"  # on the hub, whose checksums are checked
VECTORS = {  # file -> the archive that holds it
    **{f"glove.6B.{width}d.txt": "glove.6B.zip" for width in (50, 100, 200, 300)},
    **{f"glove.twitter.27B.{width}d.txt": "glove.twitter.27B.zip" for width in (25, 50, 100, 200)},
    "glove.42B.300d.txt": "glove.42B.300d.zip",
    "glove.840B.300d.txt": "glove.840B.300d.zip",
}


def run(
    teachers: Sequence[str],
    task_names: Sequence[str],
    vectors: Sequence[str],
    *,
    nltk: bool,
    source: Path | None,
    subset: bool = False,
) -> None:
    """Fetches what is named; where nothing is, all encoders and data sets of the project.

    vectors: files of `VECTORS`; from a source, of any name. nltk: whether its tagger is wanted.
    source: an archive or folder to take the one thing named from, in place of the network.
    subset: of a data set's source that it is a part on purpose, as stage 1 must be told again.
    One that cannot be had does not keep the others from coming; UserError at the end names them.
    """
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
        **({part_of_speech.DATA: partial(_tagger, source)} if nltk else {}),
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


def _encoder(spec: str, source: Path | None) -> Path:
    if (encoders.folder_of(spec) / encoders.WEIGHTS).is_file():
        logging.info("%s: skipped, it is there (to fetch it again, delete it)", spec)
    folder = encoders.locate(spec, source)
    if not (folder / encoders.WEIGHTS).is_file():
        raise UserError(f"teacher {spec}: {folder} holds no {encoders.WEIGHTS}")
    return folder


def _data_set(name: str, source: Path | None, subset: bool) -> Path | None:
    """Where the data set is; None where there is nothing to fetch."""
    task = tasks.get(name)
    if task.hub is None and task.parse is None:
        logging.info("%s: skipped, its rows do not come from outside", name)
        return None
    if source:
        rows, _ = sources.read(task, source)
        sources.check(task, rows, subset)
        with files.locked(paths.lock(f"download_{name}"), f"fetching {name}", wait=True):
            downloads.keep(task, source)
    elif there := downloads.own(task) or downloads.of_hub(task):
        logging.info("%s: skipped, it is there (to fetch it again, delete it)", name)
        return there
    else:
        with files.locked(paths.lock(f"download_{name}"), f"fetching {name}", wait=True):
            if not (downloads.own(task) or downloads.of_hub(task)):  # another may have fetched it
                downloads.fetch(task)
    return downloads.own(task) or downloads.of_hub(task)


def _vectors(name: str, source: Path | None) -> Path:
    """A file of word vectors: out of an archive (the hub's, or the source), or a copied text."""
    path = paths.vectors(name)
    if path.name != name:
        raise UserError(f"vectors '{name}' is not a file's name")
    if path.is_file():
        logging.info("%s: skipped, it is there (to fetch it again, delete it)", name)
        return path
    with files.locked(paths.lock("vectors"), f"fetching {name}", wait=True):
        if path.is_file():  # another has fetched it
            return path
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
    try:
        if zipfile.is_zipfile(source):
            with (
                files.unpacking(source),
                zipfile.ZipFile(source) as archive,
                archive.open(name) as packed,
                target.open("wb") as unpacked,
            ):
                shutil.copyfileobj(packed, unpacked)
        else:
            shutil.copyfile(source, target)
    except KeyError:
        raise UserError(f"{source} holds no {name}") from None
    logging.info("%s: %d vectors", name, word_vectors.count(target))


def _tagger(source: Path | None) -> Path:
    """nltk's tagger, by nltk's own download, which checks it; a zip stands in for the network."""
    from nltk.downloader import Downloader

    name, folder = part_of_speech.DATA, paths.nltk()
    with contextlib.suppress(UserError):
        part_of_speech.Tagger()
        logging.info("%s: skipped, nltk finds it", name)
        return folder
    with files.locked(paths.lock("nltk"), f"fetching {name}", wait=True):
        if source:
            with files.replacing(folder / "taggers" / f"{name}.zip") as temporary:
                shutil.copyfile(source, temporary)
        else:
            try:
                Downloader().download(name, str(folder), quiet=True, raise_on_error=True)
            except (ValueError, OSError) as error:  # no network; a checksum that differs
                raise UserError(
                    f"cannot fetch nltk's {name}: {reason(error)} (without a network: --source"
                    f" {name}.zip)"
                ) from None
        try:
            part_of_speech.Tagger()
        except UserError:
            (folder / "taggers" / f"{name}.zip").unlink(missing_ok=True)
            shutil.rmtree(folder / "taggers" / name, ignore_errors=True)
            raise UserError(f"{source or folder} is not nltk's {name}") from None
    return folder
