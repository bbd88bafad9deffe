"""The students' architectures, one file each, and their registration with transformers."""

from distillery.models.registry import register

__all__ = ["register"]
