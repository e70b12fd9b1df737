"""Every decoder of :mod:`devices.gatt`, found by its name: what the fuzzer and the property tests go through.

A public function ``decode`` or ``decode_<what>`` that needs one argument, and that of ``bytes``, is a decoder. Its
encoder, if there is one, is ``encode`` or ``encode_<what>`` beside it, which needs the value alone: what is read and
written again must be read as the same.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from devices import gatt
from devices.gatt.errors import DecodeError


@dataclass(frozen=True, slots=True)
class Decoder:
    """One characteristic; ``name`` is its module and its function."""

    name: str
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes] | None

    def check(self, data: bytes) -> None:
        """Read these bytes. Whatever else than a value or a :class:`DecodeError` comes of it is a fault."""
        try:
            value = self.decode(data)
        except DecodeError:
            return
        if self.encode is None or value is None:
            return
        written = self.encode(value)
        again = self.decode(written)
        if not same(value, again):
            raise AssertionError(f"{self.name} reads {data.hex()} as {value}, writes {written.hex()}, reads {again}")


def every_decoder() -> list[Decoder]:
    """The decoders of all modules, in the order of their names."""
    return sorted(_found(), key=lambda decoder: decoder.name)


def same(one: Any, other: Any) -> bool:
    """Whether two decoded values are equal; of arrays, as near as a change of units and back leaves them."""
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)


def _found() -> Iterator[Decoder]:
    for info in pkgutil.iter_modules(gatt.__path__, f"{gatt.__name__}."):
        module = importlib.import_module(info.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == info.name and name.split("_")[0] == "decode" and _needs(function) == ["bytes"]:
                short = info.name.removeprefix(f"{gatt.__name__}.")
                encode = getattr(module, name.replace("decode", "encode", 1), None)
                yield Decoder(f"{short}.{name}", function, encode if encode and len(_needs(encode)) == 1 else None)


def _needs(function: Callable[..., Any]) -> list[Any]:
    """The annotations of the arguments without which it cannot be called."""
    return [p.annotation for p in inspect.signature(function).parameters.values() if p.default is p.empty]
