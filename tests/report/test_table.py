"""Tables from made-up results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distillery import recipes
from distillery.errors import UserError
from distillery.report.table import markdown, rows, score

STUDENTS = ("bilstm", "attention")

GOLDEN = """\
### Teacher `minilm`: accuracy (%) on 25,000 test rows

| model | single | distilled | gain | parameters | size on disk | training time | made by |
| :--- | ---: | ---: | ---: | ---: | ---: | ---: | :--- |
| `minilm` (teacher) | 92.90 | – | – | 22,700,000 | 90.9 MB | 1.0 min | \
`scripts/teacher/minilm_imdb.sh` |
| majority class | 50.00 | – | – | – | – | 1.0 min | `scripts/student/majority_imdb.sh` |
| TF-IDF + logistic regression | 89.70 | – | – | 397,244 | – | 9.0 s | \
`scripts/student/tfidf_imdb.sh` |
| NBSVM on bigrams | not run | – | – | not run | not run | not run | \
`scripts/student/nbsvm_imdb.sh` |
| `bilstm` | not run | not run | not run | not run | not run | not run / not run | \
`scripts/student/bilstm_imdb.sh`<br>`scripts/distillation/bilstm_minilm_imdb.sh` |
| `attention` | 89.50 | 90.80 | +1.30 | 4,000,100 | 16.0 MB | 1.0 min / 1.0 min | \
`make attention`<br>`scripts/distillation/attention_minilm_imdb.sh` |

- Machine: cpu, EPYC, 16 threads, fp32, python 3.11.9, torch 2.4.0, transformers 4.44.0.
- Seeds: 1.
- Training rows per epoch: 22,500.
- Code: commit 0123456.
- The dev split selected every recipe and epoch; the test split was read once for each final model.
- single: trained on the labels alone; distilled: the same student taught by the teacher; gain: \
distilled minus single in percentage points, before rounding.
- size on disk: the weights file; training time: of one seed as timed during the run, single / \
distilled, without the teacher's training and recording.
"""


def line(text: str, start: str) -> list[str]:
    """The cells of the one table line whose first cell is `start`."""
    (found,) = [row for row in text.splitlines() if row.startswith(f"| {start} |")]
    return found.strip("| ").split(" | ")


def test_golden(results):
    assert markdown(results, "imdb", STUDENTS) == GOLDEN


def test_order_of_results_does_not_matter(results):
    backwards = dict(reversed(results.items()))
    assert markdown(backwards, "imdb", STUDENTS) == GOLDEN


def test_other_tasks_and_the_dev_split_stay_out(results, make):
    results |= make("bilstm_sst2", "student", [0.8], task="sst2", student="bilstm")
    results |= make("bilstm_imdb", "student", [0.8], student="bilstm", split="dev")
    assert markdown(results, "imdb", STUDENTS) == GOLDEN


def test_single_not_distilled(results, make):
    results |= make("bilstm_imdb", "student", [0.908], student="bilstm", bytes=812000)
    cells = line(markdown(results, "imdb", STUDENTS), "`bilstm`")
    assert cells[1:7] == ["90.80", "not run", "not run", "–", "812 kB", "1.0 min / not run"]


def test_baselines_and_teacher_not_run(make):
    fields = {"student": "bilstm", "teacher": "bert"}
    results = make("distil_bilstm_bert_imdb", "distillation", [0.9], **fields)
    text = markdown(results, "imdb", STUDENTS)
    assert line(text, "`bert` (teacher)")[1] == "not run"
    assert line(text, "majority class")[1] == "not run"
    assert line(text, "TF-IDF + logistic regression")[1] == "not run"


def test_no_teacher_yet(make):
    results = make("bilstm_imdb", "student", [0.9], student="bilstm")
    text = markdown(results, "imdb", STUDENTS)
    assert text.startswith("### No teacher yet: accuracy (%) on 25,000 test rows")
    assert line(text, "`bilstm`")[-1] == "`scripts/student/bilstm_imdb.sh`"


def test_a_table_per_teacher(results, make):
    results |= make("bert_imdb", "teacher", [0.94], teacher="bert")
    found = rows(results, "imdb", STUDENTS)
    assert [row.teacher for row in found] == ["bert"] * 6 + ["minilm"] * 6
    attention = [row for row in found if row.name == "attention"]
    assert [row.single is None for row in attention] == [False, False]
    assert [row.distilled is None for row in attention] == [True, False]


def test_a_student_that_is_not_listed_is_shown(results, make):
    results |= make("cnn_imdb", "student", [0.88], student="cnn")
    assert [r.name for r in rows(results, "imdb", STUDENTS)][-3:] == ["bilstm", "attention", "cnn"]


def test_several_seeds(make):
    results = make("bilstm_imdb", "student", [0.90, 0.91, 0.92], student="bilstm")
    text = markdown(results, "imdb", STUDENTS)
    assert line(text, "`bilstm`")[1] == "91.00 ± 1.00"
    assert "- Seeds: 1, 2, 3 (3 runs, mean ± sample standard deviation).\n" in text
    assert score(results["bilstm_imdb"], "accuracy") == "91.00 ± 1.00"


@pytest.mark.parametrize(
    ("distilled", "gain"), [(0.885, "-1.00"), (0.89499999, "0.00"), (0.9, "+0.50")]
)
def test_gain(results, make, distilled, gain):
    fields = {"student": "attention", "teacher": "minilm"}
    results |= make("distil_attention_minilm_imdb", "distillation", [distilled], **fields)
    assert line(markdown(results, "imdb", STUDENTS), "`attention`")[3] == gain


def test_variants_have_their_own_table(results, make):
    name = "distil_attention_minilm_imdb.soft"
    fields = {"student": "attention", "teacher": "minilm", "variant": "soft", "command": "a | b"}
    results |= make(name, "distillation", [0.912], **fields)
    text = markdown(results, "imdb", STUDENTS)
    first, second = text.split("### Variants")
    assert first == GOLDEN.split("- Machine")[0]
    cells = line(second, f"`{name}`")
    assert cells[1:4] == ["soft", "91.20", "+0.40"]
    assert text.count("soft") == 2
    assert r"`a \| b`" in second


def test_a_variant_without_the_plain_result(make):
    results = make("bilstm_imdb.x", "student", [0.9], student="bilstm", variant="x")
    cells = line(markdown(results, "imdb", STUDENTS), "`bilstm_imdb.x`")
    assert cells[1:4] == ["x", "90.00", "not run"]


def test_seeds_of_another_commit_or_machine_are_told(results):
    for result in results.values():
        runs = result["runs"]
        runs.append({**runs[0], "seed": 7, "commit": {"head": "fedcba9876", "dirty": False}})
        runs.append({**runs[0], "seed": 8, "environment": {"device": "H200"}})
    text = markdown(results, "imdb", STUDENTS)
    assert "- Code: commit 0123456 (seed 1, 8); commit fedcba9 (seed 7)." in text
    assert "(seed 1, 7); H200 (seed 8)." in text


def test_each_machine_is_listed(results):
    result = results["attention_imdb"]
    result["environment"] = {**result["environment"], "device": "H200", "precision": "bf16"}
    result["commit"] = {"head": None, "dirty": False}
    results["tfidf_imdb"]["commit"] = {"head": "fedcba9876", "dirty": True}
    text = markdown(results, "imdb", STUDENTS)
    versions = "python 3.11.9, torch 2.4.0, transformers 4.44.0"
    assert f"- Machine: cpu, EPYC, 16 threads, fp32, {versions}: all other results.\n" in text
    assert f"- Machine: H200, EPYC, 16 threads, bf16, {versions}: `attention_imdb`.\n" in text
    assert "- Code: commit fedcba9 with uncommitted changes: `tfidf_imdb`.\n" in text
    assert "- Code: no commit recorded: `attention_imdb`.\n" in text


def test_another_number_of_test_rows_is_named(results):
    results["tfidf_imdb"]["n"] = 24000
    text = markdown(results, "imdb", STUDENTS)
    note = "Not comparable, measured on other than 25,000 test rows: `tfidf_imdb` (24,000)."
    assert note in text


def test_a_missing_metric_is_named(results):
    results["tfidf_imdb"]["metrics"] = {"f1": 0.9}
    with pytest.raises(UserError, match="tfidf_imdb: has no accuracy to compare, only f1"):
        markdown(results, "imdb", STUDENTS)


def test_no_results():
    with pytest.raises(UserError, match="task imdb: no results"):
        markdown({}, "imdb", STUDENTS)


def test_accuracy_stands_beside_another_main_metric(make):
    student = {"task": "mrpc", "student": "bigru"}
    found = {
        **make("bigru_mrpc", "student", [0.7], **student),
        **make("distil_bigru_minilm_mrpc", "distillation", [0.8], teacher="minilm", **student),
    }
    for result, f1 in zip(found.values(), (0.8, 0.85), strict=True):
        scores = {"f1": f1, "accuracy": result["metrics"]["accuracy"]}
        result["metrics"] = result["runs"][0]["metrics"] = scores
    text = markdown(found, "mrpc", ("bigru",))
    assert text.startswith("### Teacher `minilm`: f1 / accuracy (%) on 25,000 test rows")
    assert line(text, "`bigru`")[1:4] == ["80.00 / 70.00", "85.00 / 80.00", "+5.00"]
    assert "- The picture and every difference are of f1.\n" in text


def test_a_part_of_the_official_rows_is_named(results):
    assert "Official rows" not in markdown(results, "imdb", STUDENTS)
    for result in results.values():
        result["subset"] = {"train": [32114, 392702]}
    text = markdown(results, "imdb", STUDENTS)
    assert "- Official rows that were used: train 32,114 of 392,702.\n" in text


def test_the_file_of_more_unlabeled_rows_is_named_beside_those_who_read_it(results):
    assert "unlabeled rows" not in markdown(results, "imdb", STUDENTS)
    results["distil_attention_minilm_imdb"]["unlabeled_data"] = "more.csv (sha256 0123456789ab)"
    text = markdown(results, "imdb", STUDENTS)
    named = "`distil_attention_minilm_imdb`"
    assert f"- With the unlabeled rows of more.csv (sha256 0123456789ab): {named}.\n" in text


def test_results_of_an_earlier_recipe_are_named(results: Any, make: Any) -> None:
    today = json.loads(json.dumps(recipes.student("imdb", "bilstm").as_dict()))
    field = {"student": "bilstm"}
    results |= make("bilstm_imdb", "student", [0.9], recipe=today, **field)
    assert "earlier recipe" not in markdown(results, "imdb", STUDENTS)
    today["phases"][0]["epochs"] += 1
    results |= make("bilstm_imdb", "student", [0.9], recipe=today, **field)
    assert "Of an earlier recipe than today's: `bilstm_imdb`." in markdown(
        results, "imdb", STUDENTS
    )
    results |= make("bilstm_imdb", "student", [0.9], recipe=today, variant="long", **field)
    assert "earlier recipe" not in markdown(results, "imdb", STUDENTS)


def test_students_of_other_weights_of_their_teacher_are_named(results: Any, make: Any) -> None:
    weights = "imdb/models/minilm_imdb/model.safetensors"
    results["minilm_imdb"]["outputs"] = {weights: "new"}
    names = {"student": "bilstm", "teacher": "minilm"}
    for checksum, told in (("new", False), ("old", True)):
        name = "distil_bilstm_minilm_imdb"
        results |= make(name, "distillation", [0.9], inputs={weights: checksum}, **names)
        line = f"Distilled from other weights than those of the teacher in this table: `{name}`."
        assert (line in markdown(results, "imdb", STUDENTS)) == told


def test_models_compressed_from_other_weights_or_by_another_recipe_are_named(
    results: Any, make: Any
) -> None:
    weights = "imdb/models/distil_bilstm_minilm_imdb/model.safetensors"
    names = {"student": "bilstm", "teacher": "minilm", "bytes": 4, "parameters": 1}
    plain, pruned = "distil_bilstm_minilm_imdb", "distil_bilstm_minilm_imdb.pruned"
    results |= make(plain, "distillation", [0.9], outputs={weights: "new"}, **names)
    source = {key: results[plain][key] for key in ("name", "metrics", "bytes")}
    today = json.loads(json.dumps(recipes.pruning("imdb", "bilstm", "minilm").as_dict()))
    for checksum, pieces in (("new", today["pieces"]), ("old", 99)):
        results |= make(
            *(pruned, "compression", [0.9]),
            **{"inputs": {weights: checksum}, "source": source, "variant": "pruned", **names},
            recipe={**today, "pieces": pieces},
        )
        text = markdown(results, "imdb", STUDENTS)
        old = checksum == "old"
        line = f"Made of other weights than those of the model in this table: `{pruned}`."
        assert (line in text) == old
        assert (f"Of an earlier recipe than today's: `{pruned}`." in text) == old


def test_results_on_other_rows_are_named(results: Any, make: Any) -> None:
    results["minilm_imdb"]["inputs"]["imdb/dev.parquet"] = "abc"
    more = {"student": "bilstm", "inputs": {"imdb/dev.parquet": "old"}}
    results |= make("bilstm_imdb", "student", [0.9], **more)
    text = markdown(results, "imdb", STUDENTS)
    assert "Not comparable, made with another dev split: `bilstm_imdb`." in text
