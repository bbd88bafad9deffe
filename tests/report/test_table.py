"""Tables from made-up results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distillery.errors import UserError
from distillery.report.cells import score
from distillery.report.rows import of_task, rows
from distillery.report.table import markdown

GOLDEN = """\
### Teacher `minilm`: accuracy (%) on 25,000 test rows

| model | labels only | distilled | gain | parameters | size on disk | training time | made by |
| :--- | ---: | ---: | ---: | ---: | ---: | ---: | :--- |
| `minilm` (teacher) | 92.90 | – | – | 22,700,000 | 90.9 MB | 1.0 min | – |
| majority class | 50.00 | – | – | – | – | 1.0 min | – |
| TF-IDF + logistic regression | 89.70 | – | – | 397,244 | – | 9.0 s | – |
| `attention` | 89.50 | 90.80 | +1.30 | 4,000,100 | 16.0 MB | 1.0 min / 1.0 min | \
`make attention`<br>`make distilled` |

- Hardware: cpu, EPYC, 16 threads, fp32, python 3.11.9, torch 2.4.0, transformers 4.44.0.
- Seeds: 1.
- Training rows per epoch: 22,500.
- Code: commit 0123456.
- Recipes and epochs were selected on dev; test was read once for each final model.
- labels only: trained on the labels; distilled: the same student trained with the teacher's \
outputs; gain: distilled minus labels only, in points, before rounding.
- size on disk: the weights file. training time: of one seed, labels only / distilled, without \
training the teacher and recording its outputs.
"""


def line(text: str, start: str) -> list[str]:
    """The cells of the one table line whose first cell is `start`."""
    (found,) = [row for row in text.splitlines() if row.startswith(f"| {start} |")]
    return found.strip("| ").split(" | ")


def test_golden(results):
    assert markdown(of_task(results, "imdb")) == GOLDEN


def test_order_of_results_does_not_matter(results):
    backwards = dict(reversed(results.items()))
    assert markdown(of_task(backwards, "imdb")) == GOLDEN


def test_other_tasks_and_the_dev_split_stay_out(results, make):
    results |= make("bilstm_sst2", "student", [0.8], task="sst2", student="bilstm")
    results |= make("bilstm_imdb", "student", [0.8], student="bilstm", split="dev")
    assert markdown(of_task(results, "imdb")) == GOLDEN


def test_single_not_distilled(results, make):
    results |= make("bilstm_imdb", "student", [0.908], student="bilstm", bytes=812000)
    cells = line(markdown(of_task(results, "imdb")), "`bilstm`")
    assert cells[1:7] == ["90.80", "not run", "not run", "–", "812 kB", "1.0 min / not run"]


def test_what_was_not_run_has_no_line(make):
    fields = {"student": "bilstm", "teacher": "bert"}
    text = markdown(
        of_task(make("distil_bilstm_bert_imdb", "distillation", [0.9], **fields), "imdb")
    )
    assert text.startswith("### Teacher `bert`: accuracy (%)")
    assert line(text, "`bilstm`")[1:4] == ["not run", "90.00", "not run"]
    assert "(teacher)" not in text
    assert "majority class" not in text


def test_no_teacher_yet(make):
    results = make("bilstm_imdb", "student", [0.9], student="bilstm", command="make bilstm")
    text = markdown(of_task(results, "imdb"))
    assert text.startswith("### No teacher yet: accuracy (%) on 25,000 test rows")
    assert line(text, "`bilstm`")[-1] == "`make bilstm`"


def test_a_table_per_teacher(results, make):
    results |= make("bert_imdb", "teacher", [0.94], teacher="bert")
    found = rows(of_task(results, "imdb"))
    assert [row.teacher for row in found] == ["bert"] * 4 + ["minilm"] * 4
    attention = [row for row in found if row.title == "`attention`"]
    assert [row.single is None for row in attention] == [False, False]
    assert [row.distilled is None for row in attention] == [True, False]


def test_students_stand_from_small_to_large(results, make):
    for name, parameters in (("cnn", 5_000_000), ("tiny", 9_000), ("bag", 9_000)):
        fields = {"student": name, "parameters": parameters}
        results |= make(f"{name}_imdb", "student", [0.88], **fields)
    names = [row.title for row in rows(of_task(results, "imdb")) if row.stage == "student"]
    assert names == ["`bag`", "`tiny`", "`attention`", "`cnn`"]


def test_several_seeds(make):
    results = make("bilstm_imdb", "student", [0.90, 0.91, 0.92], student="bilstm")
    text = markdown(of_task(results, "imdb"))
    assert line(text, "`bilstm`")[1] == "91.00 ± 1.00"
    assert "- Seeds: 1, 2, 3 (3 runs, mean ± sample standard deviation).\n" in text
    assert score(results["bilstm_imdb"], "accuracy") == "91.00 ± 1.00"


@pytest.mark.parametrize(
    ("distilled", "gain"), [(0.885, "-1.00"), (0.89499999, "0.00"), (0.9, "+0.50")]
)
def test_gain(results, make, distilled, gain):
    fields = {"student": "attention", "teacher": "minilm"}
    results |= make("distil_attention_minilm_imdb", "distillation", [distilled], **fields)
    assert line(markdown(of_task(results, "imdb")), "`attention`")[3] == gain


def test_variants_have_their_own_table(results, make):
    name = "distil_attention_minilm_imdb.soft"
    fields = {"student": "attention", "teacher": "minilm", "variant": "soft", "command": "a | b"}
    results |= make(name, "distillation", [0.912], **fields)
    text = markdown(of_task(results, "imdb"))
    first, second = text.split("### Variants")
    assert first == GOLDEN.split("- Hardware")[0]
    cells = line(second, f"`{name}`")
    assert cells[1:4] == ["soft", "91.20", "+0.40"]
    assert text.count("soft") == 2
    assert r"`a \| b`" in second


def test_a_variant_without_the_plain_result(make):
    results = make("bilstm_imdb.x", "student", [0.9], student="bilstm", variant="x")
    cells = line(markdown(of_task(results, "imdb")), "`bilstm_imdb.x`")
    assert cells[1:4] == ["x", "90.00", "not run"]


def test_seeds_of_another_commit_or_machine_are_told(results):
    for result in results.values():
        runs = result.runs
        runs.append({**runs[0], "seed": 7, "commit": {"head": "fedcba9876", "dirty": False}})
        runs.append({**runs[0], "seed": 8, "environment": {"device": "H200"}})
    text = markdown(of_task(results, "imdb"))
    assert "- Code: commit 0123456 (seed 1, 8); commit fedcba9 (seed 7)." in text
    assert "(seed 1, 7); H200 (seed 8)." in text


def test_each_machine_is_listed(results):
    results["attention_imdb"].environment.update(device="H200", precision="bf16")
    results["attention_imdb"].commit["head"] = None
    results["tfidf_imdb"].commit.update(head="fedcba9876", dirty=True)
    text = markdown(of_task(results, "imdb"))
    versions = "python 3.11.9, torch 2.4.0, transformers 4.44.0"
    assert f"- Hardware: cpu, EPYC, 16 threads, fp32, {versions}: all other results.\n" in text
    assert f"- Hardware: H200, EPYC, 16 threads, bf16, {versions}: `attention_imdb`.\n" in text
    assert "- Code: commit fedcba9 with uncommitted changes: `tfidf_imdb`.\n" in text
    assert "- Code: no commit recorded: `attention_imdb`.\n" in text


def test_a_missing_metric_is_named(results):
    del results["tfidf_imdb"].metrics["accuracy"]
    with pytest.raises(UserError, match="tfidf_imdb has no accuracy to compare, only f1"):
        markdown(of_task(results, "imdb"))


def test_accuracy_stands_beside_another_main_metric(make):
    student = {"task": "mrpc", "student": "bigru", "metric": "f1"}
    found = {
        **make("bigru_mrpc", "student", [0.8], **student),
        **make("distil_bigru_minilm_mrpc", "distillation", [0.85], teacher="minilm", **student),
    }
    for result, accuracy in zip(found.values(), (0.7, 0.8), strict=True):
        result.metrics["accuracy"] = result.runs[0]["metrics"]["accuracy"] = accuracy
        result.runs[0]["metrics"]["f1"] = result.metrics["f1"] = accuracy / 2 + 0.45
    text = markdown(of_task(found, "mrpc"))
    assert text.startswith("### Teacher `minilm`: f1 / accuracy (%) on 25,000 test rows")
    assert line(text, "`bigru`")[1:4] == ["80.00 / 70.00", "85.00 / 80.00", "+5.00"]
    assert "- The picture and every difference are of f1.\n" in text


def test_a_part_of_the_official_rows_is_named(results):
    assert "Official rows" not in markdown(of_task(results, "imdb"))
    for name, result in results.items():
        results[name] = replace(result, subset={"train": [32114, 392702]})
    text = markdown(of_task(results, "imdb"))
    assert "- Official rows used: train 32,114 of 392,702.\n" in text


def test_the_file_of_more_unlabeled_rows_is_named_beside_those_who_read_it(results):
    assert "unlabeled rows" not in markdown(of_task(results, "imdb"))
    name, file = "distil_attention_minilm_imdb", "more.csv (sha256 0123456789ab)"
    results[name] = replace(results[name], unlabeled_data=file)
    text = markdown(of_task(results, "imdb"))
    named = "`distil_attention_minilm_imdb`"
    assert f"- With the unlabeled rows of more.csv (sha256 0123456789ab): {named}.\n" in text


def test_students_of_other_weights_of_their_teacher_are_named(results: Any, make: Any) -> None:
    weights = "imdb/models/minilm_imdb/model.safetensors"
    results["minilm_imdb"].outputs[weights] = "new"
    names = {"student": "bilstm", "teacher": "minilm"}
    for checksum, told in (("new", False), ("old", True)):
        name = "distil_bilstm_minilm_imdb"
        results |= make(name, "distillation", [0.9], inputs={weights: checksum}, **names)
        line = f"Made from weights that have changed since: `{name}`."
        assert (line in markdown(of_task(results, "imdb"))) == told


def test_models_compressed_from_other_weights_are_named(results: Any, make: Any) -> None:
    weights = "imdb/models/distil_bilstm_minilm_imdb/model.safetensors"
    names = {"student": "bilstm", "teacher": "minilm", "bytes": 4, "parameters": 1}
    plain, pruned = "distil_bilstm_minilm_imdb", "distil_bilstm_minilm_imdb.pruned"
    results |= make(plain, "distillation", [0.9], outputs={weights: "new"}, **names)
    source = {"name": plain, "metrics": {"accuracy": 0.9}, "bytes": 10}
    for checksum, told in (("new", False), ("old", True)):
        fields = {"inputs": {weights: checksum}, "source": source, "variant": "pruned", **names}
        results |= make(pruned, "compression", [0.89], **fields)
        text = markdown(of_task(results, "imdb"))
        note = f"Made from weights that have changed since: `{pruned}`."
        assert (note in text) == told
    cells = line(text.split("### Compressed")[1], f"`{pruned}`")
    assert cells[1:9] == ["pruned", f"`{plain}`", "90.00", "89.00", "-1.00", "1", "0 kB", "2.5"]


def test_results_on_other_rows_are_named(results: Any, make: Any) -> None:
    results["minilm_imdb"].inputs["imdb/dev.parquet"] = "abc"
    more = {"student": "bilstm", "inputs": {"imdb/dev.parquet": "old"}}
    results |= make("bilstm_imdb", "student", [0.9], **more)
    results["tfidf_imdb"].inputs["imdb/test.parquet"] = "old"
    text = markdown(of_task(results, "imdb"))
    assert "Not comparable, measured on another test split: `tfidf_imdb`." in text
    assert "Not comparable, trained with another dev split: `bilstm_imdb`." in text
