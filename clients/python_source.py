"""The source of `minivoice_client.operations`: the API's objects as TypedDicts, its errors as classes, and `Client`."""

import json
import keyword
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]

_HEAD = '''"""Every operation of the API, its objects and its errors. Made by `make clients`: not to be edited."""

from collections.abc import Iterator
from typing import {typing}

from minivoice_client.errors import ApiError
from minivoice_client.transport import NOT_GIVEN, Transport, new_key, path
'''
_CLIENT = '''class Client(Transport):
    """The API, a method an operation. A list is an iterator over all its items, whose pages are asked for as needed."""
'''
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_PAGING = {"limit", "cursor"}


class Input(NamedTuple):
    """A field of a body or a parameter of a query."""

    name: str
    schema: Json
    is_required: bool

    @property
    def argument(self) -> str:
        """Its name in Python."""
        return f"{self.name}_" if keyword.iskeyword(self.name) else self.name

    @property
    def declared(self) -> str:
        """Itself as an argument."""
        return f"{self.argument}: {_type(self.schema)}" + ("" if self.is_required else " = NOT_GIVEN")


def module(document: Json) -> str:
    """Return the module's text for an OpenAPI document, formatted."""
    components = document["components"]["schemas"]
    objects = {name: each for name, each in components.items() if _is_told(name, document)}
    parts = [
        *(_error(code) for code in _codes(document)),
        *(_typed_dict(name, objects[name]) for name in _each_after_its_parts(objects)),
        _CLIENT,
        *(_method(address, verb.upper(), operation, components) for address, verb, operation in operations(document)),
    ]
    text = "\n".join(parts)
    names = [name for name in ("Any", "Literal", "NotRequired", "TypedDict", "cast") if re.search(rf"\b{name}\b", text)]
    text = _HEAD.format(typing=", ".join(names)) + text
    ruff = Path(sys.executable).parent / "ruff"
    formatter = [str(ruff), "format", "--stdin-filename", str(Path(__file__).with_name("operations.py")), "-"]
    formatted = subprocess.run(formatter, input=text, capture_output=True, text=True, check=True)
    return formatted.stdout


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Give every operation with its address and its method in lower case."""
    for address, item in document["paths"].items():
        for verb, operation in item.items():
            yield address, verb, operation


def _is_told(name: str, document: Json) -> bool:
    """Whether an object is part of an answer: bodies become arguments, the envelope an exception."""
    bodies = [each["requestBody"] for _, _, each in operations(document) if "requestBody" in each]
    sent = {body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2] for body in bodies}
    return name not in {*sent, "Envelope", "Error"}


def _codes(document: Json) -> list[str]:
    """All codes that some operation can answer, and the one that only an address without the method can."""
    refusals = [
        answer["content"]["application/json"]["examples"]
        for _, _, operation in operations(document)
        for status, answer in operation["responses"].items()
        if status >= "400"
    ]
    return sorted({code for examples in refusals for code in examples} | {"method_not_allowed"})


def _error(code: str) -> str:
    name = "".join(word.capitalize() for word in code.split("_"))
    return f"class {name}(ApiError):\n    code = {code!r}\n"


def _each_after_its_parts(objects: dict[str, Json]) -> list[str]:
    ordered: list[str] = []

    def add(name: str) -> None:
        if name not in ordered:
            for part in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(objects[name])):
                add(part)
            ordered.append(name)

    for name in objects:
        add(name)
    return ordered


def _typed_dict(name: str, described: Json) -> str:
    fields = {field: _type(each) for field, each in described["properties"].items()}
    fields |= {field: f"NotRequired[{fields[field]}]" for field in fields.keys() - set(described["required"])}
    if any(keyword.iskeyword(field) for field in fields):  # `from` cannot be written as a class has it
        told = ", ".join(f"{field!r}: {kind}" for field, kind in fields.items())
        return f"{name} = TypedDict({name!r}, {{{told}}})\n"
    told = "\n    ".join(f"{field}: {kind}" for field, kind in fields.items())
    return f"class {name}(TypedDict):\n    {told}\n"


def _method(address: str, verb: str, operation: Json, components: Json) -> str:
    parameters = operation.get("parameters", [])
    names = [each["name"] for each in parameters if each["in"] == "path"]
    query = [
        Input(each["name"], each["schema"], each["required"])
        for each in parameters
        if each["in"] == "query" and each["name"] not in _PAGING
    ]
    body = _body(operation, components)
    has_key = any(each["in"] == "header" for each in parameters)
    said = [each.declared for each in sorted([*query, *body], key=lambda each: not each.is_required)]
    if has_key:
        said.append("idempotency_key: str | None = None")
    arguments = ["self", *(f"{name}: str" for name in names), *(["*", *said] if said else [])]
    returned, sending = _sending(verb, operation)
    sent = [
        f"path({re.sub(r'{.+?}', '{}', address)!r}, {', '.join(names)})" if names else repr(address),
        *([f"query={_dict(query)}"] if query else []),
        *([f"body={_dict(body)}"] if "requestBody" in operation else []),
        *(["idempotency_key=idempotency_key or new_key()"] if has_key else []),
    ]
    return (
        f"    def {operation['operationId']}({', '.join(arguments)}) -> {returned}:\n"
        f'        """{_docstring(operation)}"""\n'
        f"        {sending.replace('...', ', '.join(sent))}\n"
    )


def _body(operation: Json, components: Json) -> list[Input]:
    if "requestBody" not in operation:
        return []
    form = components[operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]]
    return [Input(name, each, name in form["required"]) for name, each in form["properties"].items()]


def _sending(verb: str, operation: Json) -> tuple[str, str]:
    """What the method returns, and its statement, in which `...` stands for what is sent."""
    answer = next(each for status, each in operation["responses"].items() if status < "300")
    if "content" not in answer:
        return "None", f"self._send({verb!r}, ...)"
    if "application/json" not in answer["content"]:
        return "bytes", f"return cast('bytes', self._send({verb!r}, ...))"
    told = answer["content"]["application/json"]["schema"]
    if "next_cursor" not in told.get("properties", {}):
        kind = _type(told)
        return kind, f"return cast({kind!r}, self._send({verb!r}, ...))"
    item = _type(told["properties"]["data"]["items"])
    is_whole = told["properties"]["next_cursor"]["type"] == "null"
    return f"Iterator[{item}]", f"return self._pages(...{', is_whole=True' if is_whole else ''})"


def _dict(inputs: list[Input]) -> str:
    return f"{{{', '.join(f'{each.name!r}: {each.argument}' for each in inputs)}}}"


def _docstring(operation: Json) -> str:
    summary = f"{operation['summary']}."
    if "description" not in operation:
        return summary
    paragraphs = (textwrap.fill(text, 100) for text in operation["description"].split("\n\n"))
    text = "\n\n".join([summary, *paragraphs])
    return textwrap.indent(text, " " * 8).lstrip() + "\n" + " " * 8


def _type(described: Json) -> str:
    if "$ref" in described:
        return str(described["$ref"].rpartition("/")[2])
    if "anyOf" in described:
        return " | ".join(_type(each) for each in described["anyOf"])
    if "enum" in described:
        values = ", ".join(repr(value) for value in described["enum"] if value is not None)
        return f"Literal[{values}]" + (" | None" if None in described["enum"] else "")
    kinds = described.get("type", [])
    return " | ".join(_of(kind, described) for kind in ([kinds] if isinstance(kinds, str) else kinds)) or "Any"


def _of(kind: str, described: Json) -> str:
    if kind == "array":
        return f"list[{_type(described['items'])}]"
    return "dict[str, Any]" if kind == "object" else _PLAIN[kind]
