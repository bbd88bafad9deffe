"""MRPC of GLUE: do two sentences of the news mean the same (Dolan and Brockett 2005)?"""

from distillery.data import tables
from distillery.data.task import Task
from distillery.tasks import _glue

TASK = Task(
    name="mrpc",
    labels=("not_equivalent", "equivalent"),
    metric="f1",
    hub=_glue.hub("mrpc", text="sentence1", text_pair="sentence2"),
    parse=tables.parser(
        {"train.tsv": "train", "dev.tsv": "test"},
        ("0", "1"),
        text="#1 String",
        text_pair="#2 String",
        label="Quality",
    ),
    top_folder="MRPC",
    counts={"train": (1194, 2474), "test": (129, 279)},
)
