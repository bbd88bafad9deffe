"""The students' classes of transformers, by architecture."""

from typing import Any

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from distillery.models import networks, pretrained
from distillery.models.bert import PrunedBertConfig, PrunedBertForSequenceClassification
from distillery.students import STUDENTS

CLASSES: dict[str, type] = {
    name: pretrained.classes(name, network) for name, network in networks.NETWORKS.items()
}


def register() -> None:
    """Makes `AutoModel...from_pretrained` and `pipeline` know the students."""
    for model in CLASSES.values():
        config: Any = model.config_class  # type: ignore[attr-defined]
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, model.encoder_class, exist_ok=True)  # type: ignore[attr-defined]
        AutoModelForSequenceClassification.register(config, model, exist_ok=True)
    AutoConfig.register(PrunedBertConfig.model_type, PrunedBertConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(
        PrunedBertConfig, PrunedBertForSequenceClassification, exist_ok=True
    )


def create(student: str, **sizes: Any) -> Any:
    """A new student of our own by name, with random weights; `sizes` go to its configuration."""
    row = STUDENTS[student]
    model = CLASSES[row.architecture]
    config = model.config_class(num_hidden_layers=row.layers, **sizes)  # type: ignore[attr-defined]
    return model(config)


register()
