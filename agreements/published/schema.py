"""The JSON Schema (2020-12) of an agreement: what an editor completes and checks while one types.

Generated from the model, with the words of `fields` and the titles of the codes.
A schema cannot say everything: names that must exist, and the law, are told by
``concordat agreement validate``.
"""

import json
from typing import Any, Final

from agreements.codes import code_list
from agreements.model import OPERATORS, Agreement
from agreements.published.fields import FIELDS

ID: Final = "urn:concordat:agreement:1"
_CODES: Final = {
    tuple(codes): codes
    for codes in map(
        code_list,
        (
            "agreement-kinds",
            "annex-1",
            "article-6",
            "article-9",
            "article-10",
            "assurances",
            "capacities",
            "duty-of-confidence",
            "party-roles",
            "registers",
            "schedule-8",
        ),
    )
}


def json_schema() -> dict[str, Any]:
    """Return the schema as JSON data."""
    schema = Agreement.model_json_schema(by_alias=True)
    _describe("Agreement", schema)
    for name, part in schema["$defs"].items():
        _describe(name, part)
    schema["$defs"]["Condition"]["oneOf"] = [_given(op.rstrip("_")) for op in OPERATORS]
    _name_codes(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **schema,
        "title": "Information-sharing agreement",
    }


def schema_text() -> str:
    """Return the file that is published."""
    return json.dumps(json_schema(), indent=1) + "\n"


def _describe(name: str, part: dict[str, Any]) -> None:
    part.pop("title", None)
    part["description"] = part["description"].partition("\n")[0]
    for field, schema in part["properties"].items():
        schema.pop("title", None)
        schema["description"] = FIELDS[name][field]


def _given(operator: str) -> dict[str, Any]:
    """One operator of a condition is given: there, and not null."""
    return {"required": [operator], "properties": {operator: {"not": {"type": "null"}}}}


def _name_codes(schema: Any) -> None:
    """Put the titles of codes beside them, where editors look for them."""
    if isinstance(schema, dict):
        codes = _CODES.get(tuple(schema.get("enum", ())))
        if codes is not None:
            schema["enumDescriptions"] = [codes[code].title for code in codes]
        for inner in schema.values():
            _name_codes(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _name_codes(inner)
