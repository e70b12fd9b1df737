"""The rules core once more, slow and obvious: one reading after the other, one rule after the other.

It says in plain Python what ``alerts.engine`` says in columns; the tests hold the two together. Nothing here is shared
with the engine but the values of the rule language, the profiles, and what a firing looks like. Times are naive
``datetime`` in UTC inside, ``datetime64[us]`` at the surface.
"""

from tests.alerts.reference.interpreter import Interpreter
from tests.alerts.reference.measurement import Heard

__all__ = ["Heard", "Interpreter"]
