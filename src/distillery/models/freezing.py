"""Fine-tuning the upper layers of an encoder alone: the rest stays as it was pretrained.

Frozen weights get no gradient and no optimizer state, and since nothing below the first tuned layer
needs a gradient, autograd records nothing there. Of a step of a six-layer encoder with two tuned
layers that leaves six forward and two backward passes through a layer, in place of six and six.
"""

from typing import Any

from torch import nn

from distillery.errors import UserError


def freeze_lower(model: Any, tuned_layers: int) -> None:
    """Leaves gradients to the upper `tuned_layers` layers of a classifier and to what comes after
    them: pooler, final norm, classifier. 0 leaves them to everything.

    UserError where the encoder has fewer layers, or no one list of layers.
    """
    if not tuned_layers:
        return
    encoder = model.base_model
    name, layers = _layers(encoder)
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
    for _, part in parts[stack + 1 :]:  # as the modules are defined, so they run
        part.requires_grad_(True)


def _layers(encoder: Any) -> tuple[str, nn.ModuleList]:
    """The list of an encoder's layers, and its name within the encoder."""
    count = getattr(encoder.config, "num_hidden_layers", None)
    lists = [
        (name, module)
        for name, module in encoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if len(lists) != 1:
        raise UserError(
            f"tuned_layers needs an encoder with one list of layers, which {type(encoder).__name__}"
            " has not: leave it at 0"
        )
    return lists[0]
