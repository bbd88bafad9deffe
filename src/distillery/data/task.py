"""What a task is: where its rows come from and what they must look like."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from distillery.errors import choose
from distillery.kinds import CLASSIFICATION, Kind


class Example(NamedTuple):
    """A row of a source. `row` is its place there; `label` is None where there is none."""

    row: int
    text: str
    text_pair: str | None = None
    label: float | None = None


@dataclass(frozen=True)
class Hub:
    """A data set of the hub at a pinned revision. `splits`: our name -> the hub's."""

    id: str
    revision: str
    splits: Mapping[str, str]
    config: str | None = None
    text: str = "text"
    text_pair: str | None = None
    label: str = "label"


@dataclass(frozen=True)
class Task:
    """A data set: what a model is asked of a text, or of a pair of texts.

    labels: the names of a model's outputs, in order: the labels of classification, the name of the
    one number of regression.
    kind: what a label is, and everything that follows from it.
    counts: official split -> rows per label, or the one number of rows where labels are numbers or
    missing.
    metric: the main one, of `kind.metrics`.
    parse: reads one file of the official download: (path inside it, content) -> (split, example);
    ValueError says what is wrong with the file.
    top_folder: the one folder in the official archive, left out of those paths.
    unescape: undoes what the published files do to texts, such as `\\n` for a new line.
    generate: makes the rows, for a task that comes with the project.
    local: results go to `results/local/`, not to the committed table.
    synthetic: the texts are generated, so figures say nothing about real text.
    """

    name: str
    labels: tuple[str, ...]
    kind: Kind = CLASSIFICATION
    metric: str = ""  # the kind's own where it is empty
    hub: Hub | None = None
    parse: Callable[[str, bytes], Iterator[tuple[str, Example]]] | None = None
    top_folder: str = ""
    unescape: Callable[[str], str] | None = None
    generate: Callable[[], Mapping[str, list[Example]]] | None = None
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    local: bool = False
    synthetic: bool = False

    def __post_init__(self) -> None:
        if not self.metric:
            object.__setattr__(self, "metric", self.kind.metrics[0])
        choose(f"metric of task {self.name}", self.metric, self.kind.metrics)
