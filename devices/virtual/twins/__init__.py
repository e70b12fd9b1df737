"""The virtual devices of a street, one module for each kind. A newcomer adds a module here, nothing else."""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from devices.virtual.twin import Twin


@cache
def kinds() -> MappingProxyType[str, type[Twin]]:
    """Every twin in this package by its kind."""
    found: dict[str, type[Twin]] = {}
    for module in iter_modules(__path__):
        for _, thing in inspect.getmembers(import_module(f"{__name__}.{module.name}"), inspect.isclass):
            if issubclass(thing, Twin) and hasattr(thing, "kind"):
                found[thing.kind] = thing
    return MappingProxyType(found)
