"""Recorded outputs: once per id, a shard at a time, the same bytes after an interruption."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distillery import files, paths
from distillery.distillation import outputs
from distillery.distillation.outputs import TeacherOutputs
from distillery.errors import UserError
from distillery.text.encode import Encoded

LENGTHS = np.array([3, 5, 4, 5, 2, 4, 3, 6, 1, 2])
IDS = np.array([7, 2**63 + 5, 3, 2**64 - 1, 9, 1, 8, 0, 6, 4], dtype=np.uint64)
SHARD = 3


@pytest.fixture(autouse=True)
def _small_shards(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "SHARD_ROWS", SHARD)


def encoded(lengths: np.ndarray = LENGTHS) -> Encoded:
    """Row r is made of the piece r alone, so that a fake teacher knows it."""
    pieces = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoded(pieces, offsets, lengths.astype(np.int32), 0)


class FakeTeacher:
    """Logits (row, length) of each row; `stop_after` shards it is interrupted."""

    def __init__(self, stop_after: int = 10**6) -> None:
        self.batches: list[list[int]] = []
        self.stop_after = stop_after

    def __call__(self, rows: Encoded, progress: Callable[[int], None]) -> np.ndarray:
        if len(self.batches) == self.stop_after:
            raise KeyboardInterrupt
        first = rows.pieces[rows.offsets[:-1]]
        self.batches.append(first.tolist())
        progress(int(rows.lengths.sum()))
        return np.stack([first, rows.lengths], axis=1).astype(np.float32)


def opened() -> TeacherOutputs:
    return TeacherOutputs("films", "print", "minilm")


def content() -> dict[str, bytes]:
    folder = paths.outputs("films", "print")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def recorded(teacher: FakeTeacher | None = None) -> TeacherOutputs:
    found = opened()
    found.record(IDS, encoded(), teacher or FakeTeacher(), main=True)
    return found


def test_logits_are_read_back_in_the_order_asked_for() -> None:
    found = recorded()
    assert len(found) == 10
    for again in (found, opened()):
        order = np.array([4, 0, 4, 9, 3])
        logits = again.logits(IDS[order])
        assert logits.dtype == np.float32
        assert logits.tolist() == [[row, LENGTHS[row]] for row in order.tolist()]


def test_rows_go_from_the_longest_to_the_shortest_a_shard_at_a_time() -> None:
    teacher = FakeTeacher()
    recorded(teacher)
    # lengths 6 | 5 5 | 4 4 | 3 3 | 2 2 | 1, of equal ones the lower id first
    assert teacher.batches == [[7, 1, 3], [5, 2, 0], [6, 9, 4], [8]]


def test_what_is_recorded_is_not_recorded_again() -> None:
    recorded()
    before, teacher = content(), FakeTeacher()
    assert opened().record(IDS, encoded(), teacher, main=True) == 0
    assert teacher.batches == []
    assert content() == before


def test_new_rows_alone_are_recorded() -> None:
    some = np.array([0, 1, 2, 3])
    first = opened()
    assert first.record(IDS[some], encoded().take(some), FakeTeacher(), main=True) == 4
    before, teacher = content(), FakeTeacher()
    assert opened().record(IDS, encoded(), teacher, main=True) == 6
    assert sorted(row for batch in teacher.batches for row in batch) == [4, 5, 6, 7, 8, 9]
    after = content()
    assert all(after[name] == before[name] for name in before if name != "index.json")
    assert opened().logits(IDS)[:, 0].tolist() == list(range(10))


def test_repeats_share_one_output() -> None:
    rows = np.array([0, 1, 0, 0, 1])
    found, teacher = opened(), FakeTeacher()
    assert found.record(IDS[rows], encoded().take(rows), teacher, main=True) == 2
    assert teacher.batches == [[1, 0]]
    assert found.logits(IDS[rows])[:, 0].tolist() == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("shards", [0, 1, 2, 3])
def test_resumed_recording_is_that_of_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    recorded()
    undisturbed = content()
    monkeypatch.setenv("DISTILLERY_DATA", str(tmp_path / "other"))
    with pytest.raises(KeyboardInterrupt):
        recorded(FakeTeacher(stop_after=shards))
    assert len(opened()) == shards * SHARD
    teacher = FakeTeacher()
    recorded(teacher)
    assert sum(map(len, teacher.batches)) == 10 - shards * SHARD
    assert content() == undisturbed


def test_kill_between_shard_and_index_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded()
    undisturbed = content()
    monkeypatch.setenv("DISTILLERY_DATA", str(tmp_path / "other"))
    with pytest.raises(KeyboardInterrupt):
        recorded(FakeTeacher(stop_after=1))
    folder = paths.outputs("films", "print")
    (folder / "000001.safetensors").write_bytes(b"a shard the index does not know")
    (folder / "000001.safetensors.partial").write_bytes(b"half")
    recorded()
    assert content() == undisturbed


def test_process_that_is_not_the_main_one_writes_nothing() -> None:
    teacher = FakeTeacher()
    opened().record(IDS, encoded(), teacher, main=False)
    assert len(teacher.batches) == 4
    assert not paths.outputs("films", "print").exists()


def test_unrecorded_rows_are_counted_and_the_command_is_named() -> None:
    found = recorded()
    asked = np.array([IDS[0], 12345, 2**62], dtype=np.uint64)
    assert found.has(asked).tolist() == [True, False, False]
    with pytest.raises(UserError, match="no recorded outputs for 2 of 3 rows.*distillery record"):
        found.logits(asked)


def test_nothing_is_recorded_at_first() -> None:
    found = opened()
    assert len(found) == 0
    assert found.has(IDS).tolist() == [False] * 10
    with pytest.raises(UserError, match="minilm has no recorded outputs for 10 of 10 rows"):
        found.logits(IDS)


def test_outputs_of_another_teacher_are_refused() -> None:
    recorded()
    index = paths.outputs("films", "print") / "index.json"
    files.write_json(index, files.read_json(index) | {"fingerprint": "other"})
    with pytest.raises(UserError, match="holds outputs of another teacher.*record again"):
        opened()


def test_teachers_do_not_share_outputs() -> None:
    recorded()
    assert len(TeacherOutputs("films", "another", "minilm")) == 0
    assert len(TeacherOutputs("series", "print", "minilm")) == 0


@pytest.mark.parametrize("how", ["flip", "truncate", "empty", "delete"])
def test_damaged_shard_is_named_with_what_to_do(how: str) -> None:
    recorded()
    path = paths.outputs("films", "print") / "000001.safetensors"
    whole = path.read_bytes()
    changed = {
        "flip": whole[:-1] + bytes([whole[-1] ^ 1]),
        "truncate": whole[:-1],
        "empty": b"",
    }
    path.unlink()
    if how in changed:
        path.write_bytes(changed[how])
    with pytest.raises(UserError, match=r"000001\.safetensors is missing or damaged.*record again"):
        opened()


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_damaged_index_is_named(text: str) -> None:
    recorded()
    (paths.outputs("films", "print") / "index.json").write_text(text)
    with pytest.raises(UserError, match=r"index\.json is damaged"):
        opened()
