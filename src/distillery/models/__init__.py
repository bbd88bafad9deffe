"""The students' architectures, one file each. Importing this package registers them with the Auto
classes of transformers, so that `pipeline` and `from_pretrained` load a saved student."""

from distillery.models.registry import register

register()
