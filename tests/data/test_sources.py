"""Reading of outside data: archives that lie, broken ones, folders in two layouts."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.data import sources, tables
from distillery.data.task import Example, Hub, Task
from distillery.errors import UserError
from distillery.kinds import REGRESSION
from distillery.tasks import imdb, smoke

# Like imdb, with two reviews a label and three without.
TASK = Task(
    name="films",
    labels=("negative", "positive"),
    hub=Hub(
        "nobody/films", "main", {"train": "train", "test": "test", "unlabeled": "unsupervised"}
    ),
    parse=imdb.parse,
    top_folder="aclImdb",
    counts={"train": (2, 2), "test": (2, 2), "unlabeled": (3,)},
)
FILES = {
    **{
        f"{split}/{label}/{row}_7.txt": f"{split} {label} {row} ça".encode()
        for split in ("train", "test")
        for label in ("neg", "pos")
        for row in (1, 0)
    },
    **{f"train/unsup/{row}_0.txt": f"unsup {row}".encode() for row in range(3)},
    "README": b"not a review",
    "train/urls_pos.txt": b"http://",
}


def pack(path: Path, files: dict[str, bytes], *odd: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in odd:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def pack_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("aclImdb")
        for name, content in files.items():
            archive.writestr(f"aclImdb/{name}", content)
    return path


def unpack(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2", "w:xz"])
def test_archive_gives_every_row_in_order(tmp_path: Path, mode: str) -> None:
    splits, facts = sources.read(TASK, pack(tmp_path / "films.tar", FILES, mode=mode))
    sources.check(TASK, splits)
    assert [(row.row, row.text, row.label) for row in splits["train"]] == [
        (0, "train neg 0 ça", 0),
        (1, "train neg 1 ça", 0),
        (12500, "train pos 0 ça", 1),
        (12501, "train pos 1 ça", 1),
    ]
    assert [row.label for row in splits["unlabeled"]] == [None] * 3
    assert facts["kind"] == "official archive"
    assert len(facts["sha256"]) == 64


@pytest.mark.parametrize("top", [".", "aclImdb"])
def test_folder_and_archive_give_the_same_rows(tmp_path: Path, top: str) -> None:
    folder, archive = tmp_path / "films", pack(tmp_path / "films.tar.gz", FILES)
    unpack(folder / top, FILES)
    assert sources.read(TASK, folder)[0] == sources.read(TASK, archive)[0]
    assert (
        sources.read(TASK, pack_zip(tmp_path / "f.zip", FILES))[0] == sources.read(TASK, folder)[0]
    )


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil.txt"])
def test_unsafe_path_in_a_zip_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "films.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(name, b"x")
    with pytest.raises(UserError, match="unsafe path"):
        sources.read(TASK, archive)


@pytest.mark.parametrize(
    ("odd", "named"),
    [
        (member("aclImdb/../../evil.txt"), "aclImdb/../../evil.txt"),
        (member("../evil.txt"), "../evil.txt"),
        (member("/etc/evil.txt"), "/etc/evil.txt"),
        (member("aclImdb/link", tarfile.SYMTYPE, "/etc/passwd"), "link"),
        (member("aclImdb/hard", tarfile.LNKTYPE, "aclImdb/README"), "hard"),
    ],
)
def test_unsafe_member_is_refused_and_nothing_is_written(
    tmp_path: Path, odd: tarfile.TarInfo, named: str
) -> None:
    archive = pack(tmp_path / "films.tar.gz", FILES, odd)
    with pytest.raises(UserError, match=named):
        sources.read(TASK, archive)
    assert list(tmp_path.iterdir()) == [archive]
    assert not (tmp_path.parent / "evil.txt").exists()


def test_device_and_folder_members_are_passed_over(tmp_path: Path) -> None:
    odd = member("aclImdb/train/neg/5_1.txt", tarfile.FIFOTYPE), member("aclImdb", tarfile.DIRTYPE)
    splits, _ = sources.read(TASK, pack(tmp_path / "films.tar.gz", FILES, *odd))
    sources.check(TASK, splits)


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_truncated_archive_is_refused_or_lacks_no_row(tmp_path: Path, mode: str) -> None:
    archive = pack(tmp_path / "films.tar", FILES, mode=mode)
    whole, expected = archive.read_bytes(), sources.read(TASK, archive)[0]
    refused = 0
    for cut in range(16, len(whole), 1 + len(whole) // 100):
        archive.write_bytes(whole[:cut])
        try:
            found, _ = sources.read(TASK, archive)
            sources.check(TASK, found)
        except UserError:
            refused += 1
        else:
            assert found == expected
    assert refused > 50


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 9, 15])
def test_archive_cut_in_its_first_bytes_is_refused(tmp_path: Path, cut: int) -> None:
    archive = pack(tmp_path / "films.tar.gz", FILES)
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"films\.tar\.gz is truncated or no archive"):
        sources.read(TASK, archive)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + 600 * b"\0", 2048 * b"\0"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "films.tar.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"films\.tar\.gz|no file of task films"):
        sources.read(TASK, path)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), zipped=st.booleans())
def test_damaged_archive_raises_nothing_but_a_user_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, zipped: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    if zipped:
        archive = pack_zip(folder / "films.zip", FILES)
    else:
        archive = pack(folder / "films.tar", FILES, mode="w:")
    content = bytearray(archive.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    archive.write_bytes(content)
    try:
        splits, _ = sources.read(TASK, archive)
    except UserError:
        return
    assert set(splits) == {"train", "test", "unlabeled"}


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file of task films"):
        sources.read(TASK, tmp_path)


def test_missing_source_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        sources.read(TASK, tmp_path / "nowhere")


def test_a_table_with_a_wrong_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tx\n")
    parse = tables.parser({"train.tsv": "train"}, ("y", "z"))
    with pytest.raises(UserError, match=r"train\.tsv: row 1 has the label 'x'"):
        sources.read(replace(TASK, parse=parse), tmp_path)


def test_review_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    broken = {**FILES, "train/neg/1_7.txt": b"caf\xe9 au lait"}
    with pytest.raises(UserError, match=r"train/neg/1_7\.txt is not UTF-8 \(byte 3\)"):
        sources.read(TASK, pack(tmp_path / "films.tar.gz", broken))


@pytest.mark.parametrize("gone", ["train/neg/0_7.txt", "test/pos/1_7.txt", "train/unsup/2_0.txt"])
def test_missing_review_is_noticed(tmp_path: Path, gone: str) -> None:
    less = {name: content for name, content in FILES.items() if name != gone}
    splits, _ = sources.read(TASK, unpack(tmp_path, less))
    with pytest.raises(UserError, match="is not the official one"):
        sources.check(TASK, splits)


def test_a_part_is_taken_where_asked_for_and_its_size_is_told() -> None:
    splits, counts = {"train": [Example(0, "a", label=0)]}, {"train": (2, 1)}
    task = replace(TASK, counts=counts)
    with pytest.raises(UserError, match="--subset takes a part as it is"):
        sources.check(task, splits)
    assert sources.check(task, splits, subset=True) == {"train": [1, 3]}
    whole = {"train": [Example(n, "a", label=n % 2) for n in range(3)]}
    assert sources.check(task, whole, subset=True) == {}


@pytest.mark.parametrize("labels", [(), (0, 0, 0), (0, 1, 1), (0, None), (0, 2)])
def test_what_is_no_part_is_refused_as_one(labels: tuple[int | None, ...]) -> None:
    rows = [Example(number, "a", label=label) for number, label in enumerate(labels)]
    with pytest.raises(UserError, match="is not the official one"):
        sources.check(replace(TASK, counts={"train": (2, 1)}), {"train": rows}, subset=True)


def test_rows_of_a_label_that_is_not_counted_are_noticed() -> None:
    counts = {"test": (1, 1)}
    rows = [Example(number, "a", label=number) for number in range(3)]
    with pytest.raises(UserError, match="test of films"):
        sources.check(replace(TASK, counts=counts), {"test": rows})


def test_a_split_without_any_row_is_said_to_lack_its_file() -> None:
    task = replace(TASK, counts={"test": (1, 1)})
    for subset in (False, True):
        with pytest.raises(UserError, match="a file of the download is missing"):
            sources.check(task, {"train": [], "test": []}, subset=subset)


def test_a_label_that_the_task_has_not_is_noticed_without_official_counts() -> None:
    rows = [Example(number, "a", label=number) for number in range(3)]
    with pytest.raises(UserError, match="train of films has the label 2, and the task 2 labels"):
        sources.check(replace(TASK, counts={}), {"train": rows})


@pytest.mark.parametrize("name", ["train.tsv", "train.csv", "train-00000-of-00001.parquet"])
def test_one_file_of_a_download_is_no_source(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("text\tlabel\na\tx\n")
    with pytest.raises(UserError, match=f"{name} is one file of a download: name its folder"):
        sources.read(TASK, tmp_path / name)


def test_generated_task_takes_no_source(tmp_path: Path) -> None:
    splits, facts = sources.read(smoke.TASK, None)
    sources.check(smoke.TASK, splits)
    assert facts == {"kind": "generated", "synthetic": True}
    with pytest.raises(UserError, match="leave --source out"):
        sources.read(smoke.TASK, tmp_path)


HubFolder = Callable[..., Path]
FRONT_MATTER = """---
configs:
- config_name: plain_text
  data_files:
  - split: train
    path: plain_text/train-*
  - split: test
    path: plain_text/test-*
  - split: unsupervised
    path: plain_text/unsupervised-*
  default: true
---
# films
"""


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubFolder:
    """Writes a data set as the hub lays it out; columns can be replaced, splits left out."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def make(without: str = "", **columns: Any) -> Path:
        folder = tmp_path / "hub"
        (folder / "plain_text").mkdir(parents=True)
        front = FRONT_MATTER
        for split, size in (("train", 4), ("test", 4), ("unsupervised", 3)):
            part = f"  - split: {split}\n    path: plain_text/{split}-*\n"
            assert part in front
            if split == without:
                front = front.replace(part, "")
                continue
            labels = [-1] * size if split == "unsupervised" else [0, 0, 1, 1]
            rows = {"text": [f"{split} {row}" for row in range(size)], "label": labels}
            rows |= {name: values[:size] for name, values in columns.items()}
            table = pa.table({name: values for name, values in rows.items() if values})
            pq.write_table(table, folder / "plain_text" / f"{split}-00000-of-00001.parquet")
        (folder / "README.md").write_text(front)
        return folder

    return make


def test_folder_in_the_hubs_layout_is_read(hub_folder: HubFolder) -> None:
    splits, facts = sources.read(TASK, hub_folder())
    sources.check(TASK, splits)
    assert facts.keys() == {"kind", "name", "sha256"}
    assert splits["train"][2] == Example(2, "train 2", None, 1)
    assert splits["unlabeled"] == [Example(row, f"unsupervised {row}") for row in range(3)]


def test_hub_folder_without_a_split_is_refused(hub_folder: HubFolder) -> None:
    with pytest.raises(UserError, match="has no split 'unsupervised', only train, test"):
        sources.read(TASK, hub_folder(without="unsupervised"))


def test_hub_folder_without_a_column_is_refused(hub_folder: HubFolder) -> None:
    with pytest.raises(UserError, match="has no column 'label', only text, stars"):
        sources.read(TASK, hub_folder(label=[], stars=[1, 2, 3, 4]))


def test_hub_folder_with_a_truncated_file_is_refused(hub_folder: HubFolder) -> None:
    folder = hub_folder()
    path = folder / "plain_text/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot load"):
        sources.read(TASK, folder)


def test_hub_folder_with_labels_as_words_is_refused(hub_folder: HubFolder) -> None:
    with pytest.raises(UserError, match="label"):
        sources.read(TASK, hub_folder(label=["neg", "neg", "pos", "pos"]))


def test_hub_folder_with_a_row_without_text_is_refused(hub_folder: HubFolder) -> None:
    with pytest.raises(UserError, match="text"):
        sources.read(TASK, hub_folder(text=["a", None, "c", "d"]))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["neg", "pos"], None),
        (["negative", "positive"], None),
        (["positive", "negative"], "has the labels positive, negative, in this order"),
    ],
)
def test_hub_folder_whose_labels_stand_in_another_order_is_refused(
    hub_folder: HubFolder, names: list[str], said: str | None
) -> None:
    folder = hub_folder()
    label = datasets.ClassLabel(names=names)
    features = datasets.Features(text=datasets.Value("string"), label=label)
    for path in folder.rglob("*.parquet"):
        rows = pq.read_table(path).to_pydict()
        datasets.Dataset.from_dict(rows, features).to_parquet(path)
    if said:
        with pytest.raises(UserError, match=said):
            sources.read(TASK, folder)
    else:
        assert sources.read(TASK, folder)[0]["train"][2].label == 1


def test_numbers_of_a_hub_folder_are_those_of_the_official_files(hub_folder: HubFolder) -> None:
    """The hub stores them in single precision."""
    folder = hub_folder()
    for path in folder.rglob("*.parquet"):
        rows = pq.read_table(path).to_pydict()
        labels = pa.array([None if n < 0 else n + 0.1 for n in rows["label"]], pa.float32())
        pq.write_table(pa.table({"text": rows["text"], "label": labels}), path)
    task = replace(TASK, labels=("score",), kind=REGRESSION, metric="spearman", counts={})
    splits, _ = sources.read(task, folder)
    sources.check(task, splits)
    assert [row.label for row in splits["train"]] == [0.1, 0.1, 1.1, 1.1]
    assert {row.label for row in splits["unlabeled"]} == {None}


def test_a_task_of_numbers_counts_its_rows() -> None:
    task = Task("scores", ("score",), REGRESSION, counts={"train": (3,)})
    rows = [Example(number, "a", label=number / 2) for number in range(3)]
    assert sources.check(task, {"train": rows}) == {}
    assert sources.check(task, {"train": rows[:2]}, subset=True) == {"train": [2, 3]}
    with pytest.raises(UserError, match="not the official one: 2 rows where 3 are expected"):
        sources.check(task, {"train": rows[:2]})
    rows[1] = rows[1]._replace(label=None)
    with pytest.raises(UserError, match="train of scores has 1 rows without a label"):
        sources.check(task, {"train": rows})
