"""What `scripts/ablation.sh` compares: a student distilled in several ways on a short schedule,
each with one thing changed.

A variant is what it sets in the student's recipe, as options of `distil`.
"""

from distillery.errors import UserError, choose
from distillery.students import STUDENTS

BASE = {"epochs": "1", "splits": "train,unlabeled", "losses": "kl:1:temperature=2"}
VARIANTS: dict[str, dict[str, str]] = {
    "base": {},
    "train": {"splits": "train"},
    "train_longer": {"splits": "train", "epochs": "3"},  # on IMDB about as many steps as base
    "random": {"embeddings": "random"},
    "hard": {"losses": "teacher_labels"},
    "mse": {"losses": "mse"},
    "last": {"pooling": "last"},
    "short": {"max-length": "128"},
    "augmented": {"splits": "train,unlabeled,augmented"},
}


def variants(student: str, only: tuple[str, ...] = ()) -> dict[str, dict[str, str]]:
    """Of each variant, or of those of `only`, what it sets; UserError where the student has no
    such thing."""
    choose("student", student, STUDENTS)
    for name in only:
        choose("variant", name, VARIANTS)
    if not STUDENTS[student].own:
        raise UserError(f"{student} is taught in two phases, which these variants do not know")
    chosen = {name: {**BASE, **VARIANTS[name]} for name in only or VARIANTS}
    if student == "bag" and (lost := {"random", "last"} & chosen.keys()):
        raise UserError(
            f"a bag has no such embeddings or states: leave out {', '.join(sorted(lost))}"
            " (--only A,B)"
        )
    return chosen
