"""The calls of the API as the page at `/docs` shows them: no script is needed to read it."""

from __future__ import annotations

from typing import Any


def described(openapi: dict[str, Any]) -> list[dict[str, Any]]:
    """An OpenAPI document as the page at `/docs` shows it: the calls by their tags."""
    groups: dict[str, list[dict[str, Any]]] = {}
    schemas = openapi.get("components", {}).get("schemas", {})
    for path, methods in openapi["paths"].items():
        for method, call in methods.items():
            bodies = call.get("requestBody", {}).get("content", {})
            body_kind = next(iter(bodies), "")
            schema = bodies.get(body_kind, {}).get("schema", {})
            schema = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
            fields = [
                {
                    "name": name,
                    "type": _type_of(each),
                    "required": name in schema.get("required", ()),
                    "description": each.get("description", ""),
                }
                for name, each in schema.get("properties", {}).items()
            ]
            parameters = [
                {
                    "name": each["name"],
                    "type": _type_of(each.get("schema", {})),
                    "required": each.get("required", False),
                    "description": each.get("description", ""),
                }
                for each in call.get("parameters", ())
            ]
            groups.setdefault((call.get("tags") or ["other"])[0], []).append(
                {
                    "method": method.upper(),
                    "path": path,
                    "summary": call.get("description") or call.get("summary", ""),
                    "parameters": parameters,
                    "fields": fields,
                    "body_kind": body_kind,
                }
            )
    return [{"tag": tag, "calls": calls} for tag, calls in groups.items()]


def _type_of(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type_of(each) for each in schema["anyOf"] if each.get("type") != "null"))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items', {}))}"
    return str(schema.get("type") or schema.get("$ref", "").rpartition("/")[2] or "any")
