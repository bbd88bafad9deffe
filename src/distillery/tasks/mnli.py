"""MNLI, matched: does the first sentence entail the second (Williams et al. 2018)?"""

from distillery.data import tables
from distillery.data.task import Task
from distillery.tasks import _glue

LABELS = ("entailment", "neutral", "contradiction")

TASK = Task(
    name="mnli",
    labels=LABELS,
    hub=_glue.hub("mnli", text="premise", text_pair="hypothesis", dev="validation_matched"),
    parse=tables.parser(
        {"train.tsv": "train", "dev_matched.tsv": "test"},
        LABELS,
        text="sentence1",
        text_pair="sentence2",
        label="gold_label",
    ),
    top_folder="MNLI",
    counts={"train": (130899, 130900, 130903), "test": (3479, 3123, 3213)},
)
