"""The OpenAPI document, made of the operations as they are declared (OpenAPI Specification 3.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from server.http.declaration import Operation, Parameter

__all__ = ["document"]


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The document that describes the operations of a server of this version."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for path in operation.paths:
            paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Livethings",
            "version": version,
            "description": "Query, change and watch a tree of things over HTTP.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "User and password"},
                "token": {"type": "http", "scheme": "bearer", "description": "A token, made by new_token(…)"},
            }
        },
    }


def _operation(operation: Operation, path: str) -> dict[str, Any]:
    names = set(re.findall(r"{(\w+)}", path))
    form = "_".join(re.findall(r"\w+", path))
    described: dict[str, Any] = {
        # Ids are unique, though some operations have several paths.
        "operationId": operation.name if len(operation.paths) == 1 else f"{operation.name}_{form}",
        "summary": operation.summary,
        "security": [{"basic": []}, {"token": []}] if operation.login else [],
        "responses": {
            str(status): {
                "description": reply.description,
                "content": {media: {"schema": dict(schema)} for media, schema in reply.content.items()},
            }
            for status, reply in operation.replies.items()
        },
    }
    if operation.description:
        described["description"] = operation.description
    parameters = [_parameter(one) for one in operation.parameters if one.where != "path" or one.name in names]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {media: {"schema": dict(schema)} for media, schema in operation.body.items()},
        }
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described = {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": dict(parameter.schema),
    }
    if parameter.example is not None:
        described["example"] = parameter.example
    return described
