"""The kinds of device a gateway knows, one module each. A newcomer adds a module here, nothing else."""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from devices.drivers.driver import Driver


@cache
def kinds() -> MappingProxyType[str, type[Driver]]:
    """Every driver in this package by its kind."""
    found: dict[str, type[Driver]] = {}
    for module in iter_modules(__path__):
        for _, thing in inspect.getmembers(import_module(f"{__name__}.{module.name}"), inspect.isclass):
            if issubclass(thing, Driver) and hasattr(thing, "kind"):
                found[thing.kind] = thing
    return MappingProxyType(found)
