"""STS-B of GLUE: how similar are two sentences, from 0 to 5 (Cer et al. 2017)?"""

from distillery.data import tables
from distillery.data.task import Task
from distillery.kinds import REGRESSION
from distillery.tasks import _glue

TASK = Task(
    name="stsb",
    labels=("score",),
    kind=REGRESSION,
    metric="spearman",
    hub=_glue.hub("stsb", text="sentence1", text_pair="sentence2"),
    parse=tables.parser(
        {"train.tsv": "train", "dev.tsv": "test"},
        text="sentence1",
        text_pair="sentence2",
        label="score",
    ),
    top_folder="STS-B",
    counts={"train": (5749,), "test": (1500,)},
)
