"""The collection, in Postman's format 2.1, which Bruno, Insomnia and Hoppscotch import as well."""

import json
import re
from typing import Any

Json = dict[str, Any]


def collection(document: Json) -> str:
    """Return the collection of an OpenAPI document: a folder a tag, a request an operation, bodies from examples."""
    folders: dict[str, list[Json]] = {}
    for address, item in document["paths"].items():
        for verb, operation in item.items():
            folders.setdefault(operation["tags"][0], []).append(_request(address, verb.upper(), operation))
    whole = {
        "info": {
            "name": document["info"]["title"],
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{api_key}}", "type": "string"}]},
        "variable": [{"key": "base_url", "value": "http://127.0.0.1:8000"}, {"key": "api_key", "value": ""}],
        "item": [{"name": name, "item": requests} for name, requests in folders.items()],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def _request(address: str, verb: str, operation: Json) -> Json:
    path = re.sub(r"\{(\w+)\}", r":\1", address)
    parameters = operation.get("parameters", [])
    query = [
        {"key": each["name"], "value": "", "description": each.get("description", ""), "disabled": not each["required"]}
        for each in parameters
        if each["in"] == "query"
    ]
    url = {
        "raw": "{{base_url}}" + path,
        "host": ["{{base_url}}"],
        "path": path.strip("/").split("/"),
        "variable": [{"key": each["name"], "value": ""} for each in parameters if each["in"] == "path"],
        "query": query,
    }
    headers = [
        {"key": each["name"], "value": "{{$guid}}", "description": each["description"], "disabled": True}
        for each in parameters
        if each["in"] == "header"
    ]
    request: Json = {
        "method": verb,
        "header": headers,
        "url": url,
        "description": operation.get("description", ""),
        **_body(operation),
    }
    return {"name": operation["summary"], "request": request}


def _body(operation: Json) -> Json:
    if "requestBody" not in operation:
        return {}
    examples = operation["requestBody"]["content"]["application/json"].get("examples", {})
    body: Json = next((example["value"] for example in examples.values()), {})
    text = json.dumps(body, ensure_ascii=False, indent=2)
    return {"body": {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}}
