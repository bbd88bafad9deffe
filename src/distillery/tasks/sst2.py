"""SST-2 of GLUE: polarity of sentences of film reviews (Socher et al. 2013).

The rows of train are sentences and their phrases, those of test sentences alone. So dev is carved
from train's sentences, and the phrases that only those have leave train (`recipes/sst2.py`). Where
two rows differ in their marks alone the longer one stays, which has its full stop.
"""

from distillery.data import tables
from distillery.data.task import Task
from distillery.tasks import _glue

TASK = Task(
    name="sst2",
    labels=("negative", "positive"),
    hub=_glue.hub("sst2", text="sentence"),
    parse=tables.parser({"train.tsv": "train", "dev.tsv": "test"}, ("0", "1"), text="sentence"),
    top_folder="SST-2",
    counts={"train": (29780, 37569), "test": (428, 444)},
)
