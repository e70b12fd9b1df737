"""Twilio's OpenAPI document as a judge of requests and answers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from tests.alerts.exchange import Exchange


class TwilioDocument:
    """Says what is wrong with an exchange by the document; OpenAPI 3.0's ``nullable`` is read as JSON Schema's null."""

    def __init__(self, file: Path) -> None:
        document = json.loads(file.read_text(encoding="utf-8"))
        self._paths = document["paths"]
        self._components = _with_null(document["components"])

    @classmethod
    @cache
    def beside_the_project(cls) -> TwilioDocument | None:
        """The document in CI's folder of reference data; ``None`` where there is none."""
        shared = Path(os.environ.get("HEARTHWATCH_SHARED", Path(__file__).parents[3] / "shared"))
        file = shared / "data" / "twilio" / "twilio_api_v2010.json"
        return cls(file) if file.exists() else None

    def faults_of_kinds(self, exchanges: Iterable[Exchange]) -> list[str]:
        """The faults of one exchange of each kind that went well: what was asked and answered, and with which fields."""
        kinds = {(e.method, e.status, *sorted(e.query), *sorted(e.form)): e for e in exchanges if e.status < 400}
        return [fault for exchange in kinds.values() for fault in self.faults(exchange)]

    def faults(self, exchange: Exchange) -> list[str]:
        """What does not agree with the document, in words; empty when all does."""
        operation = self._operation(exchange)
        wrong = [f"no parameter {name}" for name in exchange.query if name not in self._parameters(operation)]
        if exchange.method == "POST":
            schema = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
            wrong += [f"no parameter {name}" for name in exchange.form if name not in schema["properties"]]
            wrong += self._errors(schema, _typed_form(schema["properties"], exchange.fields))
        if exchange.status < 400:
            answer = operation["responses"][str(exchange.status)]["content"]["application/json"]["schema"]
            wrong += self._errors(answer, exchange.answer)
            wrong += self._unknown(answer, exchange.answer)
        return wrong

    def _operation(self, exchange: Exchange) -> Any:
        for template, item in self._paths.items():
            if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), exchange.path):
                return item[exchange.method.lower()]
        raise AssertionError(f"Twilio has no {exchange.path}")

    def _parameters(self, operation: Any) -> set[str]:
        return {parameter["name"] for parameter in operation["parameters"]}

    def _errors(self, schema: Any, value: Any) -> list[str]:
        whole = {**_with_null(schema), "components": self._components}
        checker = Draft202012Validator(whole, format_checker=FormatChecker())
        return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(value)]

    def _unknown(self, schema: Any, value: dict[str, Any]) -> list[str]:
        if "$ref" in schema:
            schema = self._components["schemas"][schema["$ref"].rpartition("/")[2]]
        return [f"Twilio's answer has no {name}" for name in value if name not in schema["properties"]]


def _typed_form(properties: Any, fields: list[tuple[str, str]]) -> dict[str, Any]:
    """The form with numbers as numbers, and what may come several times as a list."""
    form: dict[str, Any] = {}
    for name, text in fields:
        schema = properties.get(name, {})
        if schema.get("type") == "array":
            form.setdefault(name, []).append(_typed(schema["items"], text))
        else:
            form[name] = _typed(schema, text)
    return form


def _typed(schema: Any, text: str) -> Any:
    kinds = {"integer": int, "number": float, "boolean": lambda t: t == "true"}
    convert = kinds.get(schema.get("type", "string"))
    return convert(text) if convert else text


def _with_null(part: Any) -> Any:
    if isinstance(part, list):
        return [_with_null(p) for p in part]
    if not isinstance(part, dict):
        return part
    whole = {key: _with_null(value) for key, value in part.items()}
    if whole.get("nullable") is True and isinstance(whole.get("type"), str):
        whole["type"] = [whole["type"], "null"]
    return whole
