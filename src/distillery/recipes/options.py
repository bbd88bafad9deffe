"""Command-line options made from a recipe's fields, so that a misspelt one is refused.

A recipe with one phase takes the phase's fields as they are (`--epochs 4`); with several, the
phase's number stands in front (`--phase2-epochs 4`).
"""

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

from distillery.errors import UserError
from distillery.recipes.base import Losses, Recipe


def _options(recipe: Any) -> Iterator[tuple[str, int, str, Any]]:
    """(option, part, field, annotation) of each field; part 0 is the recipe itself, 1 its first
    phase."""
    phases = getattr(recipe, "phases", ())
    for number, part in enumerate((recipe, *phases)):
        prefix = f"phase{number}-" if number and len(phases) > 1 else ""
        for field, hint in get_type_hints(type(part), include_extras=True).items():
            if get_origin(hint) is Annotated:
                yield prefix + field.replace("_", "-"), number, field, hint


def values(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Of a recipe, as `as_dict` gives it or as it was read back: option -> value."""
    found = {name: value for name, value in recipe.items() if name != "phases"}
    phases = recipe.get("phases", ())
    for number, phase in enumerate(phases, start=1):
        prefix = f"phase{number}-" if len(phases) > 1 else ""
        found |= {f"{prefix}{name}": value for name, value in phase.items()}
    return {name.replace("_", "-"): shown(value) for name, value in found.items()}


def shown(value: Any) -> str:
    """A value as it is typed."""
    if not isinstance(value, tuple | list):
        return str(value)
    return ",".join(_loss(item) if isinstance(item, tuple | list) else str(item) for item in value)


def _loss(loss: Sequence[Any]) -> str:
    name, weight, options = loss
    pairs = (f"{k}={v}" if isinstance(v, str) else f"{k}={v:g}" for k, v in options.items())
    return ":".join([name, f"{weight:g}", *pairs])


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


def _parser_of(kind: Any) -> Any:
    """The function that turns an option's text into a value of the type."""
    if kind in (int, float, str):
        return kind
    if kind == Losses:
        return parse_losses
    element = get_args(kind)[0]  # of a tuple
    return lambda text: tuple(element(item) for item in text.split(","))


def add(parser: argparse.ArgumentParser, recipe: Recipe) -> None:
    """Adds an option per field of `recipe`, whose values are the defaults."""
    group = parser.add_argument_group("recipe (a value, and its default in brackets)")
    defaults = values(recipe.as_dict())
    for option, _, _, hint in _options(recipe):
        kind, text, *_ = get_args(hint)
        group.add_argument(
            f"--{option}",
            dest=f"recipe:{option}",
            type=_parser_of(kind),
            metavar="VALUE",
            help=f"{text} [{defaults[option]}]".replace("%", "%%"),
        )


def apply(recipe: Any, arguments: argparse.Namespace) -> Any:
    """`recipe` with the values given on the command line in place of its own."""
    phases = getattr(recipe, "phases", ())
    changes: list[dict[str, Any]] = [{} for _ in range(1 + len(phases))]
    for option, part, field, _ in _options(recipe):
        value = getattr(arguments, f"recipe:{option}", None)
        if value is not None:
            changes[part][field] = value
    if phases:
        changed = zip(phases, changes[1:], strict=True)
        changes[0]["phases"] = tuple(replace(phase, **given) for phase, given in changed)
    return replace(recipe, **changes[0])


def grid(recipe: Any, fields_and_values: Sequence[str]) -> list[Any]:
    """`["learning-rate=1e-3,2e-3", "dropout=0.1,0.3"]` -> the four recipes.

    The names and the values are those of the command-line options.
    """
    axes: list[list[tuple[str, str]]] = []
    for item in fields_and_values:
        name, sign, texts = item.partition("=")
        if not sign or not all(texts.split(",")):
            raise UserError(f"'{item}' is not of the form FIELD=VALUE,VALUE,...")
        axes.append([(f"--{name.replace('_', '-')}", value) for value in texts.split(",")])
    parser = _Quiet(add_help=False, allow_abbrev=False)
    add(parser, recipe)
    return [
        apply(recipe, parser.parse_args([*itertools.chain(*chosen)]))
        for chosen in itertools.product(*axes)
    ]


class _Quiet(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}, in what is searched")
