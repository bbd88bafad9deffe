"""Command-line options made from a recipe's fields, so that a misspelt one is refused.

A recipe with one phase takes the phase's fields as they are (`--epochs 4`); with several, the
phase's number stands in front (`--phase2-epochs 4`).
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

from distillery.errors import UserError
from distillery.recipes.base import Losses, Recipe


def parse_losses(text: str) -> Losses:
    """`mse:1,kl:0.5:temperature=2` -> (("mse", 1.0, {}), ("kl", 0.5, {"temperature": 2.0}))."""
    losses: list[tuple[str, float, dict[str, float | str]]] = []
    for item in text.split(","):
        name, *rest = item.split(":")
        try:
            weight = float(rest[0]) if rest else 1.0
            pairs = [option.split("=") for option in rest[1:]]
            losses.append((name, weight, {key: _number_or_word(value) for key, value in pairs}))
        except ValueError:
            raise UserError(
                f"loss '{item}' is not of the form name:weight[:option=value]"
            ) from None
    return tuple(losses)


def _number_or_word(text: str) -> float | str:
    if not text:
        raise ValueError("an option of a loss without a value")
    try:
        return float(text)
    except ValueError:
        return text


def _parser_of(hint: Any) -> Any:
    """The function that turns an option's text into a value of the annotated type."""
    kind = get_args(hint)[0]
    if kind in (int, float, str):
        return kind
    if kind == tuple[str, ...]:
        return lambda text: tuple(text.split(","))
    if kind == tuple[float, ...]:
        return lambda text: tuple(float(item) for item in text.split(","))
    if kind == Losses:
        return parse_losses
    raise TypeError(f"no option can be made from a field of type {kind}")


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(
            ":".join([item[0], f"{item[1]:g}", *(f"{k}={_short(v)}" for k, v in item[2].items())])
            if isinstance(item, tuple | list)
            else str(item)
            for item in value
        )
    return str(value)


def _add_fields(group: Any, recipe: Recipe, prefix: str) -> None:
    for name, hint in get_type_hints(type(recipe), include_extras=True).items():
        if get_origin(hint) is not Annotated:
            continue
        text = get_args(hint)[1].replace("%", "%%")
        group.add_argument(
            f"--{prefix}{name.replace('_', '-')}",
            dest=f"recipe:{prefix}{name}",
            type=_parser_of(hint),
            metavar="VALUE",
            help=f"{text} [{_shown(getattr(recipe, name))}]",
        )


def _phase_prefix(recipe: Recipe, index: int) -> str:
    many = len(getattr(recipe, "phases", ())) > 1
    return f"phase{index + 1}-" if many else ""


def add(parser: argparse.ArgumentParser, recipe: Recipe) -> None:
    """Adds an option per field of `recipe`, whose values are the defaults."""
    group = parser.add_argument_group("recipe (a value, and its default in brackets)")
    _add_fields(group, recipe, "")
    for index, phase in enumerate(getattr(recipe, "phases", ())):
        _add_fields(group, phase, _phase_prefix(recipe, index))


def _changes(recipe: Recipe, prefix: str, given: dict[str, Any]) -> dict[str, Any]:
    names = (field.name for field in fields(recipe))
    return {name: given[f"{prefix}{name}"] for name in names if f"{prefix}{name}" in given}


def values(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Of a recipe, as `as_dict` gives it or as it was read back: option -> value."""
    found = {name: value for name, value in recipe.items() if name != "phases"}
    phases = recipe.get("phases", ())
    for number, phase in enumerate(phases, start=1):
        prefix = f"phase{number}-" if len(phases) > 1 else ""
        found |= {f"{prefix}{name}": value for name, value in phase.items()}
    return {name.replace("_", "-"): _shown(value) for name, value in found.items()}


def grid(recipe: Any, fields_and_values: Sequence[str]) -> list[Any]:
    """`["learning-rate=1e-3,2e-3", "dropout=0.1,0.3"]` -> the four recipes.

    The names and the values are those of the command-line options.
    """
    axes: list[list[tuple[str, str]]] = []
    for item in fields_and_values:
        name, sign, values = item.partition("=")
        if not sign or not all(values.split(",")):
            raise UserError(f"'{item}' is not of the form FIELD=VALUE,VALUE,...")
        axes.append([(name.replace("_", "-"), value) for value in values.split(",")])
    found = []
    for chosen in itertools.product(*axes):
        parser = _Quiet(add_help=False, allow_abbrev=False)
        add(parser, recipe)
        words = [word for name, value in chosen for word in (f"--{name}", value)]
        found.append(apply(recipe, parser.parse_args(words)))
    return found


class _Quiet(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}, in what is searched")


def apply(recipe: Any, arguments: argparse.Namespace) -> Any:
    """`recipe` with the values given on the command line in place of its own."""
    given = {
        key.removeprefix("recipe:"): value
        for key, value in vars(arguments).items()
        if key.startswith("recipe:") and value is not None
    }
    changes = _changes(recipe, "", given)
    if hasattr(recipe, "phases"):
        changes["phases"] = tuple(
            replace(phase, **_changes(phase, _phase_prefix(recipe, index), given))
            for index, phase in enumerate(recipe.phases)
        )
    return replace(recipe, **changes)
