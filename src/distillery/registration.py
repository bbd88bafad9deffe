"""Makes transformers know the students as soon as its Auto classes are imported, and not before.

So `import distillery` costs nothing where transformers isn't used, and `pipeline` and
`from_pretrained` load a student whichever of the two packages is imported first.
"""

from __future__ import annotations  # older Pythons read it too, to say that they are old

import importlib.abc
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

AUTO = "transformers.models.auto.modeling_auto"  # imported by `pipeline` and the Auto models


def register_with_transformers() -> None:
    """Registers the students now if the Auto classes are there, else right after their import."""
    if AUTO in sys.modules:
        _register()
    elif not any(isinstance(finder, _AutoFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AutoFinder())


def _register() -> None:
    if importlib.util.find_spec("torch"):  # transformers can be used without
        importlib.import_module("distillery.models")


class _AutoFinder(importlib.abc.MetaPathFinder):
    """Lets the other finders find the module of the Auto classes, and runs `_register` after it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != AUTO:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            spec.loader = _AutoLoader(spec.loader)
        return spec


class _AutoLoader(importlib.abc.Loader):
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self.inner.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self.inner.exec_module(module)
        _register()
