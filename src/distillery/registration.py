"""Makes transformers know the students once its Auto classes are imported, and not before.

So `import distillery` costs nothing where transformers isn't used, and `pipeline` and
`from_pretrained` load a student whichever of the two packages is imported first.
"""

from __future__ import annotations  # older Pythons read it too, to say that they are old

import importlib.abc
import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
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
    """Waits for the Auto classes. The modules of transformers import one another halfway, so the
    students are registered when the outermost import of one of them ends."""

    def __init__(self) -> None:
        self.looking, self.depth = False, 0

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if self.looking or not name.startswith("transformers."):
            return None
        self.looking = True  # the search below asks this finder again
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.looking = False
        if spec and spec.loader:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads a module by its own loader, which it leaves in its place."""

    def __init__(self, inner: Any, finder: _Finder) -> None:
        self.inner, self.finder = inner, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self.inner.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.inner
        if module.__spec__:
            module.__spec__.loader = self.inner
        self.finder.depth += 1
        try:
            self.inner.exec_module(module)
        finally:
            self.finder.depth -= 1
        if not self.finder.depth and AUTO in sys.modules and self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
            _register()
