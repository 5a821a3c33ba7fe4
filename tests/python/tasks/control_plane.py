"""How Flyte's control plane writes the requests of a task into annotations of its pod, and what the two scripts share."""
import base64
import json

from google.protobuf import json_format, text_format

STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
FLYTES = b"abcdefghijklmnopqrstuvwxyz123456"


def annotation(secret):
    text = base64.b32encode(text_format.MessageToString(secret).encode())
    return text.rstrip(b"=").translate(bytes.maketrans(STANDARD, FLYTES)).decode()


def fields(secret):
    given = json_format.MessageToDict(secret, preserving_proto_field_name=True)
    names = ["group", "group_version", "key", "env_var"]
    return {**{name: given.get(name, "") for name in names}, "mount_requirement": given.get("mount_requirement", "ANY")}


def template(secrets, command):
    return {
        "secrets": [fields(secret) for secret in secrets],
        "annotations": [annotation(secret) for secret in secrets],
        "command": list(command),
    }


def read_jobs(argument):
    """A list of jobs, or the name of a file that holds one."""
    if not argument.startswith("["):
        with open(argument) as file:
            argument = file.read()
    return json.loads(argument)
