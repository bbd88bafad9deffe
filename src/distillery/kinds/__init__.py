"""The kinds of tasks, one file each: everything that depends on what a task asks for.

A kind says how labels are read, what a model's outputs mean, how they are scored, stored and
checked. It imports neither torch nor transformers. The model's head is in `models.heads`, losses
are in `distillation.losses`; both are registered under the kind's name. Nothing else in the project
asks which kind a task is.
"""

from distillery.errors import choose
from distillery.kinds.base import Kind as Kind
from distillery.kinds.classification import Classification
from distillery.kinds.regression import Regression

CLASSIFICATION, REGRESSION = Classification(), Regression()
KINDS: dict[str, Kind] = {kind.name: kind for kind in (CLASSIFICATION, REGRESSION)}


def get(name: str) -> Kind:
    """The kind of that name; UserError for a name that is none of `KINDS`."""
    return KINDS[choose("kind", name, KINDS)]
