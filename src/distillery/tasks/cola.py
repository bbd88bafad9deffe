"""CoLA of GLUE: is a sentence acceptable English (Warstadt et al. 2019)?"""

from distillery.data import tables
from distillery.data.task import Task
from distillery.tasks import _glue

TASK = Task(
    name="cola",
    labels=("unacceptable", "acceptable"),
    metric="matthews",
    hub=_glue.hub("cola", text="sentence"),
    parse=tables.parser(
        {"train.tsv": "train", "dev.tsv": "test"},
        ("0", "1"),
        text="sentence",
        columns=("source", "label", "mark", "sentence"),
    ),
    top_folder="CoLA",
    counts={"train": (2528, 6023), "test": (322, 721)},
)
