"""The page in a folder, from made-up results."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.errors import UserError
from distillery.report import page


@pytest.fixture
def folder(results, make, monkeypatch, tmp_path) -> Path:
    """A folder whose results are two tasks, demo and imdb."""
    results |= make("bilstm_demo", "student", [0.99], task="demo", student="bilstm", bytes=10**6)
    monkeypatch.setattr(page, "read_all", lambda where: results if where == tmp_path else {})
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_page_and_pictures(folder):
    readme = page.write(folder, synthetic={"demo"})
    assert readme == folder / "README.md"
    assert names(folder) == ["README.md", "demo.png", "imdb.png"]
    text = readme.read_text(encoding="utf-8")
    assert "`scripts/distillery report`" in text.splitlines()[0]
    demo, imdb = text.index("## demo\n"), text.index("## imdb\n")
    assert demo < text.index(page.SYNTHETIC) < imdb
    assert text.count(page.SYNTHETIC) == 1
    assert "](demo.png)" in text[demo:imdb]
    assert "](imdb.png)" in text[imdb:]


def test_statistics_and_ablation_follow_the_table(folder, results, predict):
    fields = {"student": "bilstm", "teacher": "minilm", "variant": "ablation_base"}
    results |= predict("distil_bilstm_minilm_films.ablation_base", "distillation", [0], **fields)
    results |= predict("bilstm_films", "student", [0], student="bilstm")
    text = page.write(folder).read_text(encoding="utf-8")
    films, imdb = text.split("## films\n")[1].split("## imdb\n")
    parts = ["### Teacher `minilm`", "### Statistics, teacher `minilm`", "### Ablation"]
    places = [films.index(part) for part in parts]
    assert places == sorted(places)
    assert "### Statistics" in imdb
    assert "### Ablation" not in imdb


def test_damaged_labels_are_one_line(folder, predict):
    (folder / "predictions/imdb.labels.json").write_text("{")
    with pytest.raises(UserError, match=r"imdb\.labels\.json is damaged") as error:
        page.write(folder)
    assert "\n" not in str(error.value)


def test_the_same_page_again(folder):
    first = page.write(folder).read_bytes()
    assert page.write(folder).read_bytes() == first


def test_a_failure_leaves_the_old_page_and_nothing_else(folder, monkeypatch):
    old = page.write(folder).read_bytes()

    def fails(_results: object, path: Path) -> None:
        path.write_bytes(b"half a picture")
        raise OSError(28, "disk full")

    monkeypatch.setattr(page.plot, "scores", fails)
    with pytest.raises(OSError, match="disk full"):
        page.write(folder)
    assert names(folder) == ["README.md", "demo.png", "imdb.png"]
    assert (folder / "README.md").read_bytes() == old


def test_an_empty_folder_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "read_all", lambda _: {})
    with pytest.raises(UserError, match=r"no results yet.*scripts/run_all\.sh imdb") as error:
        page.write(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == []
