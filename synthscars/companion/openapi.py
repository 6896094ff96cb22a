"""What the companion itself answers to, as an OpenAPI 3.1 document."""

from __future__ import annotations

from typing import Any

from synthscars.companion.hints import ACTIONS
from synthscars.labelstudio.companion_file import HOOK_HEADER

Json = dict[str, Any]

_ERROR: Json = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}


def _answer(what: str, schema: Json | None = None, kind: str = "application/json") -> Json:
    return {"description": what, **({"content": {kind: {"schema": schema}}} if schema else {})}


def _no(what: str) -> Json:
    return _answer(what, _ERROR)


def _path(name: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, schema: Json, what: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": what}


def _body(schema: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_IMAGE_ID = _path("image_id", {"type": "string", "pattern": "^[0-9a-f]{64}$"})
_VARIANT = _query("variant", {"enum": ["upright", "original"]}, "upright if not given")
_OBJECT: Json = {"type": "object"}
_PEOPLE: list[Json] = [{"session": []}, {"token": []}]


def openapi(version: str) -> Json:
    """The document. version: of synthscars."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "synthscars companion",
            "version": version,
            "description": "The service before Label Studio. Every other path is Label Studio's own.",
        },
        "components": {
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
                "token": {"type": "apiKey", "in": "header", "name": "Authorization"},
                "hook": {"type": "apiKey", "in": "header", "name": HOOK_HEADER},
                "bearer": {"type": "http", "scheme": "bearer"},
            }
        },
        "paths": _paths(),
    }


def _paths() -> Json:
    image = {
        "200": _answer("the image", {}, "image/*"),
        "206": _answer("a part of it", {}, "image/*"),
        "304": _answer("it has not changed"),
        "400": _no("no such variant, or a range that is none"),
        "403": _no("neither logged in nor a valid signature"),
        "404": _no("no image of this id"),
        "416": _answer("no such part"),
        "422": _no("its file is damaged"),
    }
    signed = [
        _query("expires", {"type": "integer"}, "seconds since 1970"),
        _query("signature", {"type": "string"}, "HMAC-SHA256 of id, variant and expiry"),
    ]
    return {
        "/companion/health": {
            "get": {
                "summary": "Whether it and Label Studio run",
                "responses": {"200": _answer("both do", _OBJECT), "503": _answer("one does not", _OBJECT)},
            }
        },
        "/companion/metrics": {
            "get": {
                "summary": "Counters for Prometheus",
                "security": [{}, {"bearer": []}],
                "responses": {
                    "200": _answer("text format 0.0.4", {"type": "string"}, "text/plain"),
                    "403": _no("the bearer token is missing or wrong"),
                },
            }
        },
        "/companion/images/{image_id}": {
            "get": {
                "summary": "An image by its id",
                "security": [*_PEOPLE, {}],
                "parameters": [_IMAGE_ID, _VARIANT, *signed],
                "responses": image,
            }
        },
        "/companion/images/{image_id}/address": {
            "post": {
                "summary": "A signed address of an image, for managers",
                "security": _PEOPLE,
                "parameters": [_IMAGE_ID],
                "requestBody": _body(
                    {
                        "type": "object",
                        "properties": {
                            "seconds": {"type": "integer", "minimum": 1, "maximum": 604800},
                            "variant": {"enum": ["upright", "original"]},
                        },
                    }
                ),
                "responses": {
                    "200": _answer("the address and when it expires", _OBJECT),
                    "400": _no("the request is not what it should be"),
                    "403": _no("for managers alone"),
                    "404": _no("no image of this id"),
                    "413": _no("too large"),
                    "415": _no("not JSON"),
                },
            }
        },
        "/companion/webhook": {
            "post": {
                "summary": "A hint from Label Studio",
                "security": [{"hook": []}],
                "requestBody": _body({"type": "object", "properties": {"action": {"enum": list(ACTIONS)}}}),
                "responses": {
                    "200": _answer("it was noted", _OBJECT),
                    "400": _no("the request is not what it should be"),
                    "401": _no("the secret is missing or wrong"),
                    "413": _no("too large"),
                    "415": _no("not JSON"),
                },
            }
        },
        "/companion/dashboard": {
            "get": {
                "summary": "How the work goes, for managers",
                "security": _PEOPLE,
                "responses": {
                    "200": _answer("the page", {"type": "string"}, "text/html"),
                    "401": _answer("log in first", {}, "*/*"),
                    "403": _answer("for managers alone", {}, "*/*"),
                    "503": _answer("the figures cannot be worked out", {}, "*/*"),
                },
            }
        },
        "/companion/dashboard/data": {
            "get": {
                "summary": "The same in parts, for the page",
                "security": _PEOPLE,
                "responses": {
                    "200": _answer("the parts", _OBJECT),
                    "401": _answer("log in first", {}, "*/*"),
                    "403": _answer("for managers alone", {}, "*/*"),
                    "503": _answer("the figures cannot be worked out", {}, "*/*"),
                },
            }
        },
        **_ml(),
    }


def _ml() -> Json:
    said = {
        "200": _answer("the model's answer", _OBJECT),
        "503": _no("no model is configured, or too many requests are waiting"),
    }
    checked = {
        **said,
        "400": _no("the request is not what it should be"),
        "401": _no("the secret is missing or wrong"),
        "413": _no("too large"),
        "415": _no("not JSON"),
    }
    return {
        "/companion/ml/health": {"get": {"summary": "Whether there is a model", "responses": said}},
        **{
            f"/companion/ml/{name}": {
                "post": {
                    "summary": f"`{name}` of Label Studio's ML backends",
                    "security": [{"bearer": []}],
                    "requestBody": _body(_OBJECT),
                    "responses": checked,
                }
            }
            for name in ("setup", "predict", "webhook")
        },
    }
