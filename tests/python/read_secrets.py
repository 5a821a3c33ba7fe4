"""Reads secrets as a task does, through flytekit, and prints them as one line of JSON.

The questions come as JSON in the first argument: a list of {"group", "key", "group_version"?}.
Variables named in the second argument, a JSON list, are printed as they are; those that name a file, with its content.
"""
import base64
import json
import os
import sys

from flytekit import current_context

secrets = current_context().secrets


def read(question):
    try:
        return secrets.get(**question)
    except ValueError as error:
        return {"error": str(error)}


def variable(name):
    value = os.environ.get(name)
    if value is not None and os.path.isfile(value):
        with open(value, "rb") as file:
            return {"path": value, "base64": base64.b64encode(file.read()).decode()}
    return value


print(json.dumps({
    "secrets": [read(question) for question in json.loads(sys.argv[1])],
    "variables": {name: variable(name) for name in json.loads(sys.argv[2])},
}))
