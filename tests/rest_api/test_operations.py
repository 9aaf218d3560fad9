"""REST and gRPC are the same use cases: the table, the routes and the document agree."""

import json
import re
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from grpc_service.gen.agentgateway.v1 import (
    access_service_pb2,
    agent_pb2,
    artifact_pb2,
    audit_service_pb2,
    budget_service_pb2,
    configuration_pb2,
    event_pb2,
    key_service_pb2,
    sandbox_service_pb2,
    server_service_pb2,
    session_service_pb2,
    task_pb2,
    task_service_pb2,
    tool_service_pb2,
    webhook_service_pb2,
)
from rest_api.operations import OPERATIONS, PUBLIC, REST_ONLY, STREAMED, operation_id_of
from rest_api.routes import all_routes
from rest_api.routing import OperationRoute
from rest_api.schemas.events import EventHead
from scripts.export_openapi import TARGET, document

FILES = (
    access_service_pb2,
    agent_pb2,
    artifact_pb2,
    audit_service_pb2,
    budget_service_pb2,
    configuration_pb2,
    event_pb2,
    key_service_pb2,
    sandbox_service_pb2,
    server_service_pb2,
    session_service_pb2,
    task_pb2,
    task_service_pb2,
    tool_service_pb2,
    webhook_service_pb2,
)
DIFFERENT: dict[str, tuple[set[str], set[str]]] = {
    # What stands in the path or in a header on REST.
    "ActInSandboxRequest": ({"sandbox_id"}, set()),
    "CancelTaskRequest": ({"task_id"}, set()),
    "ExecuteToolRequest": ({"name"}, set()),
    "RotateKeyRequest": ({"key_id"}, set()),
    "RotateWebhookSecretRequest": ({"webhook_id"}, set()),
    "UpdateWebhookRequest": ({"webhook_id"}, set()),
    "ProvideInputRequest": ({"task_id", "input_id"}, set()),
    "UpdateConfigurationRequest": ({"etag"}, set()),
    # The body is the agent itself.
    "CreateAgentRequest": ({"agent"}, {"description", "instructions", "runtime", "configuration"}),
    # A number carries its unit in the name.
    "Drain": ({"retry_after"}, {"retry_after_s"}),
}
"""Fields of one protocol only."""
DOCUMENT = json.loads(document())


def rpcs() -> set[str]:
    services = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
    return {f"{service.name}/{method.name}" for service in services for method in service.methods}


def routes() -> list[OperationRoute]:
    return [route for route in all_routes() if isinstance(route, OperationRoute)]


def test_every_rpc_has_a_route() -> None:
    assert set(OPERATIONS) == rpcs()


def test_every_route_in_the_table_is_served() -> None:
    served = {(method, route.path_format) for route in routes() for method in route.methods}

    assert set(OPERATIONS.values()) <= served
    assert set(REST_ONLY.values()) <= served


def test_what_only_rest_has_is_a_short_list() -> None:
    assert set(REST_ONLY) == {"AccessService/CreateBrowserSession", "AccessService/DeleteBrowserSession"}
    assert set(REST_ONLY).isdisjoint(OPERATIONS)


def test_every_route_is_admitted_under_its_rpc_or_on_the_list_of_public_ones() -> None:
    for route in routes():
        if route.public:
            assert route.path_format in PUBLIC
        else:
            assert route.rpc in OPERATIONS | REST_ONLY
            assert operation_id_of(route.rpc) == route.operation_id


def test_the_document_names_every_rpc_once() -> None:
    named = [
        name
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        for name in operation.get("x-grpc-methods", [])
    ]

    assert sorted(named) == sorted(f"agentgateway.v1.{rpc}" for rpc in rpcs())
    assert set(STREAMED.values()) <= rpcs()


def test_the_committed_document_is_what_the_code_says() -> None:
    assert TARGET.read_bytes() == document(), "run `make openapi`"


def test_operation_ids_are_unique_and_every_tag_is_explained() -> None:
    operations = [operation for item in DOCUMENT["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]

    assert len(ids) == len(set(ids))
    explained = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {tag for operation in operations for tag in operation["tags"]} == explained


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', text))

    assert references <= set(DOCUMENT["components"]["schemas"])


def test_no_schema_is_a_union_with_null() -> None:
    assert '"null"' not in json.dumps(DOCUMENT["components"]["schemas"])


def messages() -> dict[str, Descriptor]:
    return {name: item for file in FILES for name, item in file.DESCRIPTOR.message_types_by_name.items()}


def test_messages_of_both_protocols_have_the_same_fields() -> None:
    """Where a message has a schema of the same name, nothing is missing, added or spelt otherwise."""
    schemas = DOCUMENT["components"]["schemas"]
    shared = sorted(set(messages()) & set(schemas) - {"Event"})
    assert len(shared) > 50

    for name in shared:
        on_rest = set(schemas[name].get("properties", {}))
        if {"type", "seq", "position"} <= on_rest:  # on gRPC an event's head is in the message around it
            on_rest -= {"type", *EventHead.model_fields}
        on_grpc = {field.name.removesuffix("_json") for field in messages()[name].fields}
        only_grpc, only_rest = DIFFERENT.get(name, (set(), set()))
        assert on_grpc - only_grpc == on_rest - only_rest, name


def test_repeated_fields_are_arrays_on_rest() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name, message in messages().items():
        for field in message.fields:
            properties = schemas.get(name, {}).get("properties", {})
            if field.name in properties and is_list(field):
                assert properties[field.name]["type"] == "array", f"{name}.{field.name}"


def is_list(field: FieldDescriptor) -> bool:
    entry = field.message_type is not None and field.message_type.GetOptions().map_entry
    return field.is_repeated and not entry


def test_the_document_lies_in_the_folder_for_it() -> None:
    assert Path("openapi/openapi.json") == TARGET.relative_to(Path(__file__).parents[2])
