"""SST-2 of GLUE: polarity of sentences of film reviews (Socher et al. 2013).

The rows of train are phrases of its sentences, so dev, carved from train, has parts of what train
has: scores on it stand above those on test, which is of whole sentences of other reviews.
"""

from distillery.preprocessing import tables
from distillery.preprocessing.task import Task
from distillery.tasks import _glue

TASK = Task(
    name="sst2",
    labels=("negative", "positive"),
    hub=_glue.hub("sst2", text="sentence"),
    parse=tables.parser({"train.tsv": "train", "dev.tsv": "test"}, ("0", "1"), text="sentence"),
    top_folder="SST-2",
    counts={"train": (29780, 37569), "test": (428, 444)},
)
