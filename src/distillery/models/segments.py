"""Encoders that know of one segment, such as RoBERTa: separators alone tell them a pair's texts."""

from typing import Any


def use_in(model: Any) -> None:
    """Keeps `token_type_ids` from a model that has no embedding for a second text's."""
    if getattr(model.config, "type_vocab_size", 2) == 1:
        model.register_forward_pre_hook(_without_types, with_kwargs=True)


def _without_types(
    _: Any, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return arguments, {name: value for name, value in named.items() if name != "token_type_ids"}
