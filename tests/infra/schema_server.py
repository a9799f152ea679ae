"""A Terraform provider that knows its schema and nothing else, so that Terraform checks our code without the registry.

Guarantees: what is written in `terraform-eks/` is read by Terraform itself, against the arguments, blocks and types
that the pinned providers publish (data/provider-schemas.json, in the form of `terraform providers schema -json`).
Nothing can be planned or built with it: `terraform test` mocks that part.

It speaks Terraform's plugin protocol 6. All of its messages that matter here are written by the few lines below.
After a change of versions or types, where the registry can be reached:
terraform -chdir=terraform-eks providers schema -json | python tests/infra/schema_server.py
"""

import json
import os
import re
import sys
from collections.abc import Collection
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

DATA = Path(__file__).parent / "data"
SCHEMAS = DATA / "provider-schemas.json"
KINDS = ("resource_schemas", "data_source_schemas")
_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}


def published() -> dict[str, Any]:
    """The providers' schemas, by the provider's address."""
    schemas: dict[str, dict[str, Any]] = json.loads(SCHEMAS.read_text(encoding="utf-8"))["provider_schemas"]
    return schemas


def kept(schemas: dict[str, dict[str, Any]], types: Collection[str]) -> dict[str, dict[str, Any]]:
    """Of what Terraform tells that which is served here: the types in use, of the providers that have any, no prose."""
    found = {
        address: {
            "provider": _terse(schema["provider"]),
            **{
                kind: {name: _terse(each) for name, each in schema.get(kind, {}).items() if name in types}
                for kind in KINDS
            },
        }
        for address, schema in schemas.items()
    }
    return {address: schema for address, schema in found.items() if any(schema[kind] for kind in KINDS)}


def _terse(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    # An argument may be called `description`; then it is an object.
    prose = ("description", "description_kind", "deprecated")
    return {name: _terse(each) for name, each in schema.items() if name not in prose or isinstance(each, dict)}


def pinned(code: str) -> set[tuple[str, str]]:
    """The providers and versions that Terraform code asks for."""
    return set(re.findall(r'source *= "(hashicorp/\w+)"\s+version *= "([^"]+)"', code))


class Providers:
    """Serves every published provider; `environment` tells Terraform where."""

    def __init__(self) -> None:
        self._servers = []
        attached = {}
        for address, schema in published().items():
            server = grpc.server(futures.ThreadPoolExecutor(4))
            server.add_generic_rpc_handlers((_Handler(_provider(schema)),))
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            self._servers.append(server)
            attached[address] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,  # not Terraform's to end
                "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
            }
        self.environment = {"TF_REATTACH_PROVIDERS": json.dumps(attached)}

    def stop(self) -> None:
        """Until Terraform can no longer reach them."""
        for server in self._servers:
            server.stop(0).wait()


class _Handler(grpc.GenericRpcHandler):
    """Tells the schema; finds every configuration right that fits it."""

    def __init__(self, schema: bytes) -> None:
        self._answers = {
            "GetProviderSchema": schema,
            "ValidateProviderConfig": b"",
            "ValidateResourceConfig": b"",
            "ValidateDataResourceConfig": b"",
            "ConfigureProvider": b"",
            "StopProvider": b"",
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        answer = self._answers.get(details.method.rpartition("/")[2])
        return None if answer is None else grpc.unary_unary_rpc_method_handler(lambda request, context: answer)


def _provider(schema: dict[str, Any]) -> bytes:
    return (
        _message(1, _schema(schema["provider"]))
        + b"".join(_entry(2, name, _schema(each)) for name, each in schema["resource_schemas"].items())
        + b"".join(_entry(3, name, _schema(each)) for name, each in schema["data_source_schemas"].items())
    )


def _schema(schema: dict[str, Any]) -> bytes:
    return _number(1, schema["version"]) + _message(2, _block(schema["block"]))


def _block(block: dict[str, Any]) -> bytes:
    return b"".join(
        [_message(2, _attribute(name, each)) for name, each in block.get("attributes", {}).items()]
        + [_message(3, _nested(name, each)) for name, each in block.get("block_types", {}).items()]
    )


def _nested(name: str, block: dict[str, Any]) -> bytes:
    return (
        _message(1, name.encode())
        + _message(2, _block(block["block"]))
        + _number(3, _NESTING[block["nesting_mode"]])
        + _number(4, block.get("min_items", 0))
        + _number(5, block.get("max_items", 0))
    )


def _attribute(name: str, attribute: dict[str, Any]) -> bytes:
    out = _message(1, name.encode())
    if "type" in attribute:
        out += _message(2, json.dumps(attribute["type"]).encode())
    out += _number(4, attribute.get("required", False)) + _number(5, attribute.get("optional", False))
    out += _number(6, attribute.get("computed", False))
    if "nested_type" in attribute:
        nested = attribute["nested_type"]
        parts = [_message(1, _attribute(each, inner)) for each, inner in nested["attributes"].items()]
        out += _message(10, b"".join(parts) + _number(3, _NESTING[nested["nesting_mode"]]))
    return out


def _entry(field: int, key: str, value: bytes) -> bytes:
    return _message(field, _message(1, key.encode()) + _message(2, value))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(int(value)) if value else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


if __name__ == "__main__":
    code = "".join(path.read_text(encoding="utf-8") for path in Path("terraform-eks").rglob("*.tf"))
    used = set(re.findall(r'^(?:resource|data) "(\w+)"', code, re.MULTILINE))
    renewed = {
        "provider_schemas": kept(json.load(sys.stdin)["provider_schemas"], used),
        "versions": {f"registry.terraform.io/{name}": version for name, version in pinned(code)},
    }
    SCHEMAS.write_text(json.dumps(renewed, indent=1, sort_keys=True) + "\n", encoding="utf-8")
