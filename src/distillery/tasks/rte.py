"""RTE of GLUE: does the first text entail the second (Dagan et al. 2006 and its sequels)?"""

from distillery.data import tables
from distillery.data.task import Task
from distillery.tasks import _glue

LABELS = ("entailment", "not_entailment")

TASK = Task(
    name="rte",
    labels=LABELS,
    hub=_glue.hub("rte", text="sentence1", text_pair="sentence2"),
    parse=tables.parser(
        {"train.tsv": "train", "dev.tsv": "test"}, LABELS, text="sentence1", text_pair="sentence2"
    ),
    top_folder="RTE",
    counts={"train": (1249, 1241), "test": (146, 131)},
)
