"""Encoders of transformers, of any Auto class, as teachers and as students."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig

from distillery.errors import UserError, reason

_DROPOUTS = (  # names in configurations
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout", "dropout"),
    *("attention_dropout", "classifier_dropout", "seq_classif_dropout"),
)


def read_config(folder: Path) -> Any:
    """The configuration of the model in a folder; UserError if there is none."""
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a loader's many errors all mean: no model
        raise UserError(f"{folder} holds no model ({reason(error)})") from None


def load(kind: Any, folder: Path, **options: Any) -> Any:
    """The model in a folder, of a class of transformers, in fp32 and from safetensors only;
    UserError if it can't be loaded."""
    try:
        return kind.from_pretrained(
            folder, use_safetensors=True, dtype="float32", trust_remote_code=False, **options
        )
    except Exception as error:  # a loader's many errors all mean: not a whole model
        raise UserError(f"{folder} holds no whole model ({reason(error)})") from None


def hide_token_types(model: Any) -> None:
    """Keeps `token_type_ids` from a model that has no embedding for a second text's, such as
    RoBERTa: there separators alone tell the texts of a pair apart."""
    if getattr(model.config, "type_vocab_size", 2) == 1:
        model.register_forward_pre_hook(_without_token_types, with_kwargs=True)


def _without_token_types(
    _: Any, inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return inputs, {name: value for name, value in named.items() if name != "token_type_ids"}


def set_dropout(model: Any, dropout: float) -> None:
    """Sets every dropout of the model, and of its configuration."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    for name in _DROPOUTS:
        if isinstance(getattr(model.config, name, None), float):
            setattr(model.config, name, dropout)


def layers_of(model: Any, wanted: str) -> tuple[str, nn.ModuleList]:
    """The list of a classifier's layers, and its name within the encoder.

    UserError, which says what is `wanted`, if the encoder has no single such list.
    """
    encoder = model.base_model
    count = getattr(encoder.config, "num_hidden_layers", None)
    lists = [
        (name, module)
        for name, module in encoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if len(lists) != 1:
        raise UserError(
            f"{wanted} needs an encoder with one list of layers, which {type(encoder).__name__}"
            " does not have"
        )
    return lists[0]


def freeze_lower(model: Any, tuned_layers: int) -> None:
    """Fine-tunes only the upper `tuned_layers` layers of a classifier and what follows them:
    pooler, final norm, classifier. 0 tunes everything.

    Frozen weights have no gradient and no optimizer state, and since nothing below the first tuned
    layer needs a gradient, autograd records nothing there. With two tuned layers of six a step
    costs six forward and two backward passes through a layer, in place of six and six.

    UserError if the encoder has fewer layers, or no single list of layers.
    """
    if not tuned_layers:
        return
    encoder = model.base_model
    name, layers = layers_of(model, f"tuned_layers {tuned_layers}")
    if not 1 <= tuned_layers <= len(layers):
        raise UserError(
            f"tuned_layers {tuned_layers} is impossible: this encoder has {len(layers)} layers"
            f" (1 to {len(layers)}, or 0 for all of them and the embeddings)"
        )
    encoder.requires_grad_(False)
    for layer in layers[len(layers) - tuned_layers :]:
        layer.requires_grad_(True)
    parts = list(encoder.named_children())
    stack = [part for part, _ in parts].index(name.split(".")[0])
    for _, part in parts[stack + 1 :]:  # modules run in the order of their definition
        part.requires_grad_(True)


def copy_layers(model: Any, student: Any, numbers: Sequence[int]) -> None:
    """Copies these layers of a classifier, counted from 1, and all its other weights into a
    student of as many layers. UserError if a layer doesn't fit its new place, as ModernBERT's
    first, which alone has no norm before its attention."""
    name, _ = layers_of(model, "a student with fewer layers")
    prefix, weights = f"{model.base_model_prefix}.{name}.", model.state_dict()
    taken = {key: value for key, value in weights.items() if not key.startswith(prefix)}
    for mine, number in enumerate(numbers):
        theirs = f"{prefix}{number - 1}."
        for key, value in weights.items():
            if key.startswith(theirs):
                taken[f"{prefix}{mine}.{key.removeprefix(theirs)}"] = value
    try:
        student.load_state_dict(taken)
    except RuntimeError:
        raise UserError(
            f"layers {','.join(map(str, numbers))} can't be the layers of a student: those of"
            f" {type(model).__name__} are not all alike (try layer 1 as the first one)"
        ) from None


def with_layers(model: Any, numbers: Sequence[int], dropout: float, copied: bool = True) -> Any:
    """A classifier of the same architecture with only these layers of `model`, counted from 1.

    dropout: on the embeddings and before the classifier. The layers have none, which costs time
    and turns fused attention off. copied: it takes over all weights; else they are random.
    """
    set_dropout(model, 0.0)
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(numbers)
    if kinds := getattr(config, "layer_types", None):  # such as local and global attention
        config.layer_types = [kinds[number - 1] for number in numbers]
    student = type(model)(config)
    if copied:
        copy_layers(model, student, numbers)
    inside = {*layers_of(student, "a student with fewer layers")[1].modules()}
    for module in student.modules():
        if isinstance(module, nn.Dropout) and module not in inside:
            module.p = dropout
    return student
