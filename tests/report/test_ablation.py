"""The ablation's table, from made-up results."""

from __future__ import annotations

import pytest

from distillery.report import ablation
from distillery.report.statistics import Evidence
from distillery.report.table import markdown

PHASE = {"splits": ["train", "unlabeled"], "losses": [["mse", 1.0, {}]], "epochs": 1}
RECIPE = {"embeddings": "teacher", "max_length": 256, "phases": [PHASE]}
CHANGES = {
    "base": {},
    "random": {"embeddings": "random"},
    "kl": {"phases": [{**PHASE, "losses": [["kl", 1.0, {"temperature": 2.0}]]}]},
    "train": {"phases": [{**PHASE, "splits": ["train"]}]},
}


@pytest.fixture
def found(predict):
    """Four variants of a distilled student; each but the base has an error more."""
    names = {"student": "bilstm", "teacher": "minilm"}
    results = {}
    for errors, (name, change) in enumerate(CHANGES.items()):
        results |= predict(
            f"distil_bilstm_minilm_films.ablation_{name}",
            *("distillation", list(range(errors))),
            **{**names, "variant": f"ablation_{name}", "recipe": {**RECIPE, **change}},
            command=f"distil --variant ablation_{name}",
        )
    return results


def table(found, folder) -> list[list[str]]:
    text = ablation.markdown(list(found.values()), Evidence(folder, "films"))
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line[:3] == "| `"]


def test_table(found, tmp_path):
    rows = table(dict(reversed(found.items())), tmp_path)
    assert [row[0] for row in rows] == [f"`ablation_{name}`" for name in CHANGES]
    base, random, kl, train = rows
    assert base[1:5] == ["–", "100.00", "–", "–"]
    assert random[1:4] == ["embeddings random (teacher)", "90.00", "-10.00"]
    assert random[4] == "-30.00 to 0.00"
    assert random[5:] == ["1.0 min", "`distil --variant ablation_random`"]
    assert kl[1] == "losses kl:1:temperature=2 (mse)"
    assert train[1] == "splits train (train,unlabeled)"


def test_heading_and_legend(found, tmp_path):
    text = ablation.markdown(list(found.values()), Evidence(tmp_path, "films"))
    assert text.startswith("### Ablation: `bilstm` distilled from `minilm`\n")
    assert "short schedule" in text


def test_without_a_base_nothing_is_compared(found, tmp_path):
    del found["distil_bilstm_minilm_films.ablation_base"]
    assert table(found, tmp_path)[0][1:5] == ["not run", "90.00", "not run", "not run"]


def test_another_teacher_is_named(found, tmp_path):
    for name, result in found.items():
        result.inputs["films/outputs"] = name[-2:]
    assert table(found, tmp_path)[1][1] == "embeddings random (teacher); other films/outputs"


def test_an_ablation_is_no_other_variant(found, predict, tmp_path):
    assert "### Variants" not in markdown(list(found.values()))
    plain = predict("bilstm_films", "student", [0], student="bilstm")
    assert ablation.markdown(list(plain.values()), Evidence(tmp_path, "films")) == ""


def test_differences_of_recipes(make):
    def differences(*recipes) -> list[str]:
        base, other = (make("x", "student", [0.5], recipe=recipe)["x"] for recipe in recipes)
        return ablation.differences(base, other)

    two = {**RECIPE, "phases": [PHASE, {"epochs": 3}]}
    assert differences(RECIPE, two) == ["phase 2 epochs 3 (none)"]
    weighted = {"phases": [{**PHASE, "losses": [["mse", 0.5, {}], ["cross_entropy", 1.0, {}]]}]}
    assert differences({"phases": [PHASE]}, weighted) == ["losses mse:0.5,cross_entropy (mse)"]
    assert differences({"head": 0.25}, {"head": 0.5}) == ["head 0.5 (0.25)"]
    mapped = {"phases": [{**PHASE, "losses": [["hidden", 1.0, {"layers": "last"}]]}]}
    assert differences({"phases": [PHASE]}, mapped) == ["losses hidden:1:layers=last (mse)"]
