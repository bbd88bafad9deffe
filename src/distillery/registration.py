"""Registers the students with transformers once its Auto classes are imported, and not before.

So `import distillery` costs nothing where transformers isn't used, and `pipeline` and
`from_pretrained` load a student whichever of the two packages is imported first.
"""

from __future__ import annotations  # older Pythons read it too, to say that they are old

import functools
import importlib.abc
import importlib.util
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

AUTO = "transformers.models.auto.configuration_auto"  # imported by every Auto class


def register_with_transformers() -> None:
    """Registers the students now if the Auto classes are there, else once they are imported."""
    if AUTO in sys.modules:
        _register()
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _register() -> None:
    if importlib.util.find_spec("torch"):  # transformers can be used without
        importlib.import_module("distillery.models.registry")


class _Finder(importlib.abc.MetaPathFinder, threading.local):
    """Waits for the Auto classes. The modules of transformers import each other while they are
    half loaded, so the students are registered when the outermost of these imports ends."""

    depth = 0

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name.startswith("transformers.") else None
        if spec and spec.loader:
            loader: Any = spec.loader
            loader.exec_module = functools.partial(self._execute, loader.exec_module)
        return spec

    def _execute(self, exec_module: Callable[[ModuleType], None], module: ModuleType) -> None:
        self.depth += 1
        try:
            exec_module(module)
        finally:
            self.depth -= 1
        if not self.depth and AUTO in sys.modules and self in sys.meta_path:
            sys.meta_path.remove(self)
            _register()
