"""How surely a blow was a fall: a forest of decision trees over its measurements, in a small open format.

A model is two files: ``falls.npz``, plain arrays without pickle, and ``falls.json``, its card, which says from which
recordings it learned, under which licence, of whom, how well it did on people it had not seen, and what it cannot do. The
trees are extremely randomised (Geurts et al., Machine Learning 2006, 63:3-42); the share of them that speaks for a fall
is made a probability by a logistic fitted on people left out (Platt 1999).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from math import exp, log
from pathlib import Path
from typing import Any, Final, Literal, Self, cast, get_args

import numpy as np
import numpy.typing as npt

from devices.falls.features import names

Position = Literal["wrist", "waist", "pocket", "chest"]
"""Where the sensor is worn."""
POSITIONS: Final[tuple[Position, ...]] = get_args(Position)

_ARRAYS: Final = "falls.npz"
_CARD: Final = "falls.json"
_FORMAT: Final = 1
_SURE: Final = 1e-3  # no forest knows better than one in a thousand


class ModelError(ValueError):
    """These files are no model, or one for other measurements; the text says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Trees in one row of nodes, (n,) each: a node asks whether ``measured[feature] <= bound`` and goes to ``below``, else
    to the node behind that; a leaf has feature -1 and says in ``share`` how many of what came there were falls.

    ``roots``, (trees,), is where each tree begins.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int16]
    bound: npt.NDArray[np.float32]
    below: npt.NDArray[np.int32]
    share: npt.NDArray[np.float32]

    def vote(self, measured: npt.NDArray[np.float32]) -> float:
        """The mean share of falls, 0 to 1, over all trees."""
        at = self.roots.copy()
        inner = np.flatnonzero(self.feature[at] >= 0)
        while len(inner):
            node = at[inner]
            above = measured[self.feature[node]] > self.bound[node]
            at[inner] = self.below[node] + above
            inner = inner[self.feature[at[inner]] >= 0]
        return float(self.share[at].mean(dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What tells a fall from another blow, and from which probability on for each place where a sensor is worn.

    ``calibration`` is the logistic's steepness and offset over the log odds of the forest's vote.
    """

    forest: Forest
    calibration: tuple[float, float]
    thresholds: dict[Position, float]
    card: dict[str, Any] = field(default_factory=dict)

    def probability(self, measured: npt.NDArray[np.float32]) -> float:
        """The probability of a fall, 0 to 1, of what ``devices.falls.features.measure`` measured."""
        steepness, offset = self.calibration
        return 1.0 / (1.0 + exp(-(steepness * log_odds(self.forest.vote(measured)) + offset)))

    def save(self, folder: Path) -> None:
        """Write the two files into ``folder``, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        f = self.forest
        np.savez_compressed(
            folder / _ARRAYS, roots=f.roots, feature=f.feature, bound=f.bound, below=f.below, share=f.share
        )
        said = {
            "format": _FORMAT,
            "calibration": self.calibration,
            "thresholds": self.thresholds,
            "measurements": names(),
            "card": self.card,
        }
        (folder / _CARD).write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path | Traversable) -> Self:
        """Read what :meth:`save` wrote. Raises :class:`ModelError` for anything else."""
        try:
            said = json.loads((folder / _CARD).read_text("utf-8"))
            with (folder / _ARRAYS).open("rb") as file, np.load(cast("Any", file), allow_pickle=False) as arrays:
                forest = Forest(**{name: arrays[name] for name in Forest.__slots__})
            model = cls(forest, tuple(said["calibration"]), said["thresholds"], said["card"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder} holds no model of falls: {error}") from error
        if said.get("format") != _FORMAT or said["measurements"] != names() or set(said["thresholds"]) != {*POSITIONS}:
            raise ModelError(f"the model in {folder} was made for another version of Hearthwatch: train it anew")
        return model


@cache
def shipped() -> Model:
    """The model that comes with Hearthwatch."""
    return Model.load(resources.files("devices.falls") / "models")


def log_odds(share: float) -> float:
    """Of a share between 0 and 1, kept away from certainty."""
    share = min(max(share, _SURE), 1.0 - _SURE)
    return log(share / (1.0 - share))
