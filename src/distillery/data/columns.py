"""Which columns of a user's file hold the text, its pair and the label."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from distillery.errors import UserError

LABEL = ("label", "labels", "sentiment", "class", "category", "target", "stars", "rating", "score")
OBVIOUS = {
    "text": ("text", "sentence", "review", "content", "body", "document", "sentence1"),
    "text_pair": ("text_pair", "sentence2"),
    "label": LABEL,
}


@dataclass(frozen=True)
class Columns:
    """Column names; None means: find the column by its usual names."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None


USUAL = Columns()


def plain(name: str) -> str:
    """A column name without case and surrounding blanks, for comparing names."""
    return name.strip().casefold()


def text_names(columns: Columns) -> set[str]:
    """The plain names that the text column may have."""
    return {plain(columns.text)} if columns.text is not None else {*OBVIOUS["text"]}


def find_columns(
    file: str, names: Sequence[str], columns: Columns, roles: Sequence[str] = (*OBVIOUS,)
) -> Columns:
    """Resolves `columns` against the column names of a file.

    Columns that the user names are taken first; then each other role gets the first of its usual
    names that is left. An exact name goes before one that differs in case or surrounding blanks.
    Roles that are not in `roles` get None.
    Raises UserError if a named column is missing, if one column is named for two roles, if two
    columns fit equally well, or if no column fits the text.
    """
    by_plain_name = defaultdict[str, list[str]](list)
    for name in names:
        by_plain_name[plain(name)].append(name)

    def matching(wanted: str, role: str, taken: Collection[str | None] = ()) -> str | None:
        similar = [name for name in by_plain_name[plain(wanted)] if name not in taken]
        exact = [name for name in similar if name == wanted]
        return _only(file, exact or similar, wanted, role)

    found: dict[str, str | None] = {}
    for role in roles:
        named = getattr(columns, role)
        if named is None:
            continue
        match = matching(named, role)
        if match is None:
            raise UserError(
                f"unknown column in {file} ({option(role)}) '{named}': choose from {listed(names)}"
            )
        for other, taken in found.items():
            if match == taken:
                both = f"{option(other)} and {option(role)}"
                raise UserError(f"column '{match}' in {file} cannot be {both} at once")
        found[role] = match
    for role in roles:
        if role not in found:
            matches = (matching(usual, role, found.values()) for usual in OBVIOUS[role])
            found[role] = next((name for name in matches if name is not None), None)
    if found["text"] is None:
        raise UserError(
            f"{file} has no obvious text column among {listed(names)}: name it with --text-column"
        )
    return Columns(**found)


def _only(file: str, matches: Sequence[str], wanted: str, role: str) -> str | None:
    """The one column that matches, None if none does."""
    if len(matches) > 1 and len(set(matches)) == 1:
        raise UserError(f"{file} has two columns named '{matches[0]}': rename one of them")
    if len(matches) > 1:
        raise UserError(
            f"two columns of {file} fit '{wanted}': {listed(matches)}: name one with {option(role)}"
        )
    return matches[0] if matches else None


def option(role: str) -> str:
    """The command line's option for a role."""
    return f"--{role.replace('_', '-')}-column"


def listed(names: Sequence[str]) -> str:
    """Column names for a message: the first 20, each cut to 60 characters."""
    shown = [name if len(name) <= 60 else f"{name[:60]}..." for name in names[:20]]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"{', '.join(shown)}{more}" if names else "no named columns"
