"""A client of a Flyte connector, with the classes that Flyte's own SDK ships.

    connector.py flyte1|flyte2 ADDRESS

Reads a line of JSON for each call, {"method", "request", "metadata"?}, and writes one: {"answer"} or {"code", "details"}, each with
the metadata that came with it. Requests and answers are messages in protobuf's JSON. Three methods are not Flyte's: Health;
Differences, whose request is {"files": [...]}: where these .proto files differ from the package; and Template, the template of
the task in connector_task.py.
"""

import json
import re
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory

if sys.argv[1] == "flyte1":
    from flyteidl.service import agent_pb2, agent_pb2_grpc

    SERVICES = agent_pb2.DESCRIPTOR.services_by_name
    STUBS = {"AsyncAgentService": agent_pb2_grpc.AsyncAgentServiceStub, "AgentMetadataService": agent_pb2_grpc.AgentMetadataServiceStub}
    ELSEWHERE = {}
else:
    from flyteidl2.connector import service_pb2, service_pb2_grpc

    SERVICES = service_pb2.DESCRIPTOR.services_by_name
    STUBS = {
        "AsyncConnectorService": service_pb2_grpc.AsyncConnectorServiceStub,
        "ConnectorMetadataService": service_pb2_grpc.ConnectorMetadataServiceStub,
    }
    # The .proto files use messages of Flyte 1 where Flyte 2 has copies.
    ELSEWHERE = {
        "flyteidl.core.": "flyteidl2.core.",
        "flyteidl.admin.": "flyteidl2.connector.",
        "flyteidl2.connector.Connection": "flyteidl2.core.Connection",
    }

POOL = descriptor_pool.Default()


def theirs(name):
    for ours, other in ELSEWHERE.items():
        if name == ours or (ours.endswith(".") and name.startswith(ours)):
            return name.replace(ours, other, 1)
    return name


def differences(files):
    """What stands in .proto files of a simple form and not, or otherwise, in the package."""
    wrong, checked = [], 0
    for file in files:
        path = []
        for line in open(file):
            line = line.split("//")[0].strip()
            package = re.match(r"package ([\w.]+);", line)
            opened = re.match(r"(message|enum|oneof|service) (\w+) \{(\})?", line)
            rpc = re.match(r"rpc (\w+) \(([\w.]+)\) returns \((stream )?([\w.]+)\);", line)
            member = re.match(r"(?:(repeated) )?(map<[^>]+>|[\w.]+) (\w+) = (\d+);", line)
            value = re.match(r"(\w+) = (\d+);", line)
            if package:
                path = [("package", package[1])]
            elif opened:
                if not opened[3]:
                    path.append((opened[1], opened[2]))
            elif line == "}":
                path.pop()
            elif rpc:
                checked += 1
                method = SERVICES[path[-1][1]].methods_by_name.get(rpc[1])
                same = method and method.input_type.name == rpc[2].split(".")[-1]
                if not (same and method.output_type.name == rpc[4].split(".")[-1] and method.server_streaming == bool(rpc[3])):
                    wrong.append(f"{file}: {line}")
            elif member or value:
                name = theirs(".".join(part for kind, part in path if kind != "oneof"))
                if ELSEWHERE and "Agent" in name:
                    continue  # Flyte 2 has connectors instead
                checked += 1
                try:
                    same = same_value(name, value) if path[-1][0] == "enum" else same_member(name, member)
                except KeyError:
                    same = False
                if not same:
                    wrong.append(f"{file}: {name}: {line}")
    return {"checked": checked, "wrong": wrong}


def same_value(name, value):
    return POOL.FindEnumTypeByName(name).values_by_name[value[1]].number == int(value[2])


def same_member(name, member):
    field = POOL.FindMessageTypeByName(name).fields_by_name[member[3]]
    if field.number != int(member[4]) or field.is_repeated != bool(member[1] or member[2].startswith("map<")):
        return False
    if member[2].startswith("map<"):
        return field.message_type.GetOptions().map_entry
    kind = field.message_type or field.enum_type
    if kind:
        return kind.name == member[2].split(".")[-1]
    return member[2] == {5: "int32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32", 4: "uint64"}[field.type]


def template():
    from connector_task import hello
    from flytekit.configuration import ImageConfig, SerializationSettings
    from flytekit.tools.translator import get_serializable

    settings = SerializationSettings(ImageConfig(), project="flytesnacks", domain="development", version="1")
    return as_json(get_serializable({}, settings, hello).template.to_flyte_idl())


def call(channel, method, request, metadata):
    if method == "Health":
        stub = channel.unary_unary("/grpc.health.v1.Health/Check")
        return {"answer": stub(b"", timeout=10).hex()}
    if method == "Template":
        return {"answer": template()}
    if method == "Differences":
        return {"answer": differences(request["files"])}
    name = next(name for name, service in SERVICES.items() if method in service.methods_by_name)
    descriptor = SERVICES[name].methods_by_name[method]
    message = json_format.ParseDict(request, message_factory.GetMessageClass(descriptor.input_type)())
    stub = getattr(STUBS[name](channel), method)
    if descriptor.server_streaming:
        answers = stub(message, timeout=30, metadata=metadata)
        return {"answer": [as_json(answer) for answer in answers], "metadata": str(answers.trailing_metadata())}
    answer, done = stub.with_call(message, timeout=30, metadata=metadata)
    return {"answer": as_json(answer), "metadata": str([done.initial_metadata(), done.trailing_metadata()])}


def as_json(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


with grpc.insecure_channel(sys.argv[2]) as channel:
    print(json.dumps({"answer": "ready"}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            told = call(channel, asked["method"], asked.get("request", {}), asked.get("metadata"))
        except grpc.RpcError as error:
            told = {"code": error.code().name, "details": error.details(), "metadata": str(error.trailing_metadata())}
        print(json.dumps(told), flush=True)
