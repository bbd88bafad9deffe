"""Files that are whole or not there."""

import json
import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest
import safetensors.torch
import torch

from distillery import files
from distillery.errors import UserError

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7), "c": torch.zeros(0)}


def test_sha256_is_the_checksum_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert files.sha256(path).startswith("ba7816bf8f01cfea")  # FIPS 180-2, appendix B.1


def test_short_hash_knows_values_not_their_order() -> None:
    assert files.short_hash({"a": 1, "b": (2, 3)}) == files.short_hash({"b": [2, 3], "a": 1})
    assert files.short_hash({"a": 1}) != files.short_hash({"a": 1.5})


def test_replacing_makes_folders_and_leaves_no_other_name(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a"
    with files.replacing(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("new")
    assert [p.name for p in path.parent.iterdir()] == ["a"]
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_interrupted_replacing_keeps_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error), files.replacing(path) as temporary:
        temporary.write_text("new")
        raise error
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o644), (0o700, 0o600), (0o750, 0o640)])
def test_who_may_look_into_a_folder_may_read_its_files(
    tmp_path: Path, folder: int, file: int
) -> None:
    tmp_path.chmod(folder)
    files.save_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(2)}, {})
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == file


def test_a_sealed_folder_can_be_read_as_its_place_can(tmp_path: Path) -> None:
    with files.replacing_folder(tmp_path / "model") as temporary:
        safetensors.torch.save_file({"x": torch.zeros(2)}, temporary / "model.safetensors")
        temporary.chmod(0o755)
    for path in (tmp_path / "model").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_replacing_overwrites_what_a_kill_left(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.with_name("a.partial").write_text("a long left-over")
    files.write_text(path, "new")
    assert path.read_text() == "new"


def test_replacing_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for content in ("old", "new"):
        with files.replacing_folder(folder) as temporary:
            (temporary / content).write_text(content)
    assert {p.name for p in folder.iterdir()} == {"new", files.SUMS}


def test_interrupted_replacing_folder_keeps_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "old").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(folder) as temporary:
        (temporary / "new").write_text("new")
        raise KeyboardInterrupt
    assert [p.name for p in folder.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_an_old_folder_that_a_kill_left_aside_is_found_again(tmp_path: Path) -> None:
    folder, aside = tmp_path / "a", tmp_path / "a~"
    aside.mkdir()
    (aside / "old").touch()
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(folder):
        raise KeyboardInterrupt
    assert [p.name for p in folder.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    aside.mkdir()  # the kill came later: the new one is in its place
    (aside / "older").touch()
    with files.replacing_folder(folder) as temporary:
        (temporary / "new").touch()
    assert {p.name for p in folder.iterdir()} == {"new", files.SUMS}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_json_is_read_back(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a", {"ça": [1, None, 0.5]})
    assert files.read_json(tmp_path / "a") == {"ça": [1, None, 0.5]}
    assert "ça" in (tmp_path / "a").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"[1]", b"\xff", 100_000 * b"["])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is damaged"):
        files.read_json(path)
    with pytest.raises(UserError, match=r"b\.json is missing"):
        files.read_json(tmp_path / "b.json")


def test_changed_value_of_json_is_found_and_its_layout_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"score": 0.9, 1: [None, float("inf")]})
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert files.read_json(path) == {"score": 0.9, "1": [None, float("inf")]}
    path.write_text(path.read_text().replace("0.9", "0.8"))
    with pytest.raises(UserError, match=r"a\.json is damaged \(its checksum differs\): do so"):
        files.read_json(path, remedy="do so")


def test_json_without_a_checksum_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"b": 1}')
    assert files.read_json(tmp_path / "a") == {"b": 1}


@pytest.mark.parametrize("change", ["flip", "truncate", "delete", "flip in the manifest"])
def test_folder_with_a_changed_file_is_refused(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "a"
    with files.replacing_folder(folder) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "b").write_text("whole")
    sums = files.check_folder(folder, "make it again")
    assert sums == {"deep/b": files.sha256(folder / "deep/b")}
    if change == "delete":
        (folder / "deep/b").unlink()
    elif change == "flip in the manifest":
        text = (folder / files.SUMS).read_text()
        digit = sums["deep/b"][7]
        new = text.replace(sums["deep/b"], sums["deep/b"].replace(digit, "x", 1))
        (folder / files.SUMS).write_text(new)
    else:
        (folder / "deep/b").write_text("Whole" if change == "flip" else "who")
    named = "manifest.json" if "manifest" in change else "deep/b"
    with pytest.raises(UserError, match=f"{named} is .*damaged.*: make it again"):
        files.check_folder(folder, "make it again")


def test_folder_made_by_others_passes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert files.check_folder(tmp_path, "x") == {}


def test_tensors_of_every_kind_have_a_checksum(tmp_path: Path) -> None:
    kinds = (torch.bfloat16, torch.float16, torch.int8, torch.bool, torch.complex64)
    tensors = {str(kind): torch.ones(2, 3, dtype=kind) for kind in kinds}
    files.save_tensors(tmp_path / "a", tensors, {})
    found, _ = files.load_tensors(tmp_path / "a")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def _hold(path: Path) -> str:
    try:
        with files.locked(path, "stage 1 of films"):
            return "held"
    except UserError as error:
        return str(error)


def test_second_holder_of_a_lock_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        with files.locked(path, "stage 1 of films"):
            assert "stage 1 of films is running already" in pool.apply(_hold, (path,))
        assert pool.apply(_hold, (path,)) == "held"


def test_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), files.locked(tmp_path / "a", "it"):
        raise ValueError("x")
    assert _hold(tmp_path / "a") == "held"


def test_tensors_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    files.save_tensors(path, {**TENSORS, "t": TENSORS["a"].T}, {"step": 3, "history": [{"f": 0.5}]})
    tensors, facts = files.load_tensors(path)
    assert facts == {"step": 3, "history": [{"f": 0.5}]}
    assert tensors.keys() == {"a", "b", "c", "t"}
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor), name
        assert tensors[name].dtype == tensor.dtype, name
    assert torch.equal(tensors["t"], TENSORS["a"].T)


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.safetensors is missing"):
        files.load_tensors(tmp_path / "a.safetensors")


def test_truncated_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    files.save_tensors(path, TENSORS, {})
    whole = path.read_bytes()
    for size in range(0, len(whole), 13):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"a\.safetensors is damaged"):
            files.load_tensors(path)


def _flipped(path: Path, places: range) -> list[int]:
    """The places whose changed byte was not noticed, though what was read differs."""
    whole, unnoticed = path.read_bytes(), []
    before = files.load_tensors(path)
    for place in places:
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        try:
            tensors, facts = files.load_tensors(path)
        except UserError:
            continue
        same = tensors.keys() == before[0].keys() and all(
            torch.equal(tensors[name], tensor) for name, tensor in before[0].items()
        )
        if not same or facts != before[1]:
            unnoticed.append(place)
    path.write_bytes(whole)
    return unnoticed


def test_changed_byte_of_a_tensor_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    files.save_tensors(path, TENSORS, {})
    size = path.stat().st_size
    assert _flipped(path, range(size - 32, size)) == []  # 6 fp32 and an int64


def test_changed_byte_of_the_facts_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    files.save_tensors(path, TENSORS, {"step": 1234})
    start = path.read_bytes().index(json.dumps({"step": 1234}).replace('"', '\\"').encode())
    assert _flipped(path, range(start, start + 20)) == []


def test_file_without_a_checksum_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for metadata in (None, {"facts": "{}"}, {"facts": "{"}):
        save_file(TENSORS, tmp_path / "a", metadata=metadata)
        with pytest.raises(UserError, match="is damaged"):
            files.load_tensors(tmp_path / "a")


def _killed_while_it_writes(path: Path) -> None:
    """Writes tensors; the library has a file under a random name when SIGKILL comes."""

    def killed(_: object, target: Path, **__: object) -> None:
        (target.parent / ".tmpRandom").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    safetensors.torch.save_file = killed
    files.save_tensors(path, TENSORS, {})


def test_what_a_kill_left_of_tensors_goes_with_the_next_try(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    process = multiprocessing.get_context("fork").Process(
        target=_killed_while_it_writes, args=(path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert any(tmp_path.rglob(".tmpRandom"))
    files.save_tensors(path, TENSORS, {})
    assert [left.name for left in tmp_path.iterdir()] == ["a.safetensors"]


def test_checkpoints_go_and_what_a_kill_left_of_them(tmp_path: Path) -> None:
    model = tmp_path / "model"
    left = tmp_path / "phase1/a.safetensors.folder.partial"
    for folder in (model, left):
        folder.mkdir(parents=True)
    kept = [tmp_path / "done.json", model / "model.safetensors"]
    for path in (*kept, left / ".tmpRandom", left.parent / "a.safetensors"):
        path.touch()
    files.remove_tensors(tmp_path, keep=model)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == kept
