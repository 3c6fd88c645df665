"""The trading door's description of itself: an OpenRPC 1.3 document made of the same table that is served."""

from typing import Any, Final

import msgspec

import seawall
from seawall.api.errors import WORDS
from seawall.api.methods.results import result_of, schemas
from seawall.api.rpc import METHODS, Call, Method, Nothing, method

VERSION: Final = "1.3.2"


@method("rpc.discover")
def discover(service: Any, call: Call, asked: Nothing) -> dict[str, Any]:
    """Describe every method that is served, as OpenRPC has it."""
    return document()


def document() -> dict[str, Any]:
    """The OpenRPC document."""
    return {
        "openrpc": VERSION,
        "info": {"title": "Seawall trading door", "version": seawall.__version__, "license": {"name": "Apache-2.0"}},
        "methods": [_described(METHODS[name]) for name in sorted(METHODS)],
        "components": {
            "errors": {word: {"code": code, "message": word} for code, word in sorted(WORDS.items())},
            "schemas": schemas(),
        },
    }


def _described(row: Method) -> dict[str, Any]:
    (top,), definitions = msgspec.json.schema_components([row.parameters], ref_template="{name}")
    schema = _inline(top, definitions)
    required = set(schema.get("required", ()))
    found: dict[str, Any] = {
        "name": row.name,
        "summary": row.summary,
        "paramStructure": "by-name",
        "params": [
            {"name": name, "required": name in required, "schema": properties}
            for name, properties in schema.get("properties", {}).items()
        ],
        "result": {"name": "result", "schema": result_of(row.name)},
    }
    if row.scope:
        found["x-scope"] = row.scope
    if row.websocket:
        found["x-websocket-only"] = True
    return found


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with what it refers to in its place; parameters never refer to themselves."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inline(definitions[schema["$ref"]], definitions)
        return {name: _inline(value, definitions) for name, value in schema.items()}
    return [_inline(value, definitions) for value in schema] if isinstance(schema, list) else schema
