"""Other engines at four of the rules of blood pressure and pulse, as far as each can say them.

Polars replays a whole stream at once, with its windows (2 of 3 severe within half an hour). rule-engine and zen-engine
judge each event by itself: they keep no state, so they only say which measurement is over, which is the smaller part of
the work; the rest would have to be written around them.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import polars as pl
import rule_engine
import zen
from numpy.typing import NDArray

Columns = dict[str, NDArray[np.generic]]
"""Events: ``resident``, ``at`` and one column for each of systolic, diastolic and pulse."""

CONDITIONS = (
    "systolic >= 180 or diastolic >= 110",
    "systolic < 90",
    "pulse > 130",
    "pulse < 40",
)


def replay_with_polars(events: Columns) -> int:
    """How many measurements are the second severe one of three within half an hour, or low, fast or slow for the second."""
    over = [
        (pl.col("systolic") >= 180) | (pl.col("diastolic") >= 110),
        pl.col("systolic") < 90,
        pl.col("pulse") > 130,
        pl.col("pulse") < 40,
    ]
    frame = pl.DataFrame(events).sort("resident", "at")
    marked = frame.with_columns(*[condition.cast(pl.Int8).alias(f"over{i}") for i, condition in enumerate(over)])
    near = [
        (pl.col("at") - pl.col("at").shift(back).over("resident") <= pl.duration(minutes=30)).fill_null(value=False)
        for back in (1, 2)
    ]
    raised = [
        (pl.col(f"over{i}") == 1)
        & (
            pl.col(f"over{i}").shift(1).over("resident").fill_null(0) * near[0].cast(pl.Int8)
            + pl.col(f"over{i}").shift(2).over("resident").fill_null(0) * near[1].cast(pl.Int8)
            >= 1
        )
        for i in range(len(over))
    ]
    return int(sum(marked.select([r.sum().alias(f"r{i}") for i, r in enumerate(raised)]).row(0)))


def judge_with_rule_engine() -> Callable[[Columns], int]:
    """How many conditions are fulfilled, one event after the other."""
    rules = [rule_engine.Rule(condition) for condition in CONDITIONS]
    return lambda events: sum(rule.matches(event) for event in _rows(events) for rule in rules)


def judge_with_zen() -> Callable[[Columns], int]:
    """The same by a decision table of zen-engine."""
    inputs = [{"id": name, "name": name, "field": name} for name in ("systolic", "diastolic", "pulse")]
    cells = [(">= 180", "", ""), ("", ">= 110", ""), ("< 90", "", ""), ("", "", "> 130"), ("", "", "< 40")]
    rules = [
        {"_id": str(i), "systolic": s, "diastolic": d, "pulse": p, "over": str(i)} for i, (s, d, p) in enumerate(cells)
    ]
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode", "content": {}},
        {
            "id": "table",
            "name": "table",
            "type": "decisionTableNode",
            "content": {
                "hitPolicy": "collect",
                "inputs": inputs,
                "outputs": [{"id": "over", "name": "over", "field": "over"}],
                "rules": rules,
            },
        },
        {"id": "out", "name": "out", "type": "outputNode", "content": {}},
    ]
    edges = [
        {"id": "a", "type": "edge", "sourceId": "in", "targetId": "table"},
        {"id": "b", "type": "edge", "sourceId": "table", "targetId": "out"},
    ]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    return lambda events: sum(len(decision.evaluate(event)["result"]) for event in _rows(events))


def _rows(events: Columns) -> list[dict[str, float]]:
    names = ("systolic", "diastolic", "pulse")
    return [dict(zip(names, row, strict=True)) for row in zip(*(events[name].tolist() for name in names), strict=True)]
