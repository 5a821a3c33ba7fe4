"""What stands between a task author's files and a pod, done with flytekit itself.

    run_flytekit.py templates MODULE...     every task of these modules, as `pyflyte register` would send it, as JSON
    run_flytekit.py execute JOBS            runs tasks and workflows, prints what they return as one line of JSON

A template is {"secrets": requests, "annotations": the same as the control plane writes them, "command": of the container}.
JOBS is a JSON list, or a file with one, of {"task": name, "command": of its template, "inputs": by name, "env": variables}
and {"workflow": name, "env": variables}; a task runs as in its container, by pyflyte-execute, a workflow as on a laptop.
Without "env" the variables are those of this process. Of a task that fails {"error": text} is printed.
"""
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections import OrderedDict

from flyteidl.core import errors_pb2, literals_pb2
from flytekit.bin.entrypoint import execute_task_cmd
from flytekit.configuration import Image, ImageConfig, SerializationSettings
from flytekit.core.base_task import PythonTask
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.core.workflow import WorkflowBase
from flytekit.interfaces.random import random
from flytekit.models.literals import LiteralMap
from flytekit.tools.translator import get_serializable
from flytekit.types.schema import FlyteSchema

import control_plane

SETTINGS = SerializationSettings(
    project="flytesnacks",
    domain="development",
    version="1",
    image_config=ImageConfig(default_image=Image("default", "localhost/busybox", tag="1")),
)


def serialised(task):
    return get_serializable(OrderedDict(), SETTINGS, task).template


def template(task):
    made = serialised(task)
    context = made.security_context
    return control_plane.template(context.to_flyte_idl().secrets if context else [], made.container.args)


def templates(modules):
    found = {}
    for module in modules:
        for name, entity in vars(importlib.import_module(module)).items():
            if isinstance(entity, PythonTask):
                found[f"{module}.{name}"] = template(entity)
    return found


def entity_of(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def load(message, path):
    with open(path, "rb") as file:
        message.ParseFromString(file.read())
    return message


def save(message, path):
    with open(path, "wb") as file:
        file.write(message.SerializeToString())


def printable(value):
    """Rows as lists."""
    return value.open().all().values.tolist() if isinstance(value, FlyteSchema) else value


def execute_task(name, command, given):
    """As propeller runs the container: its command with the places of inputs and outputs filled in."""
    task, context = entity_of(name), FlyteContextManager.current_context()
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs, own = (os.path.join(folder, name) for name in ["inputs.pb", "outputs", "template.pb"])
        literals = TypeEngine.dict_to_literal_map(context, given, task.python_interface.inputs)
        save(literals.to_flyte_idl(), inputs)
        save(serialised(task).to_flyte_idl(), own)
        places = {
            "{{.input}}": inputs,
            "{{.outputPrefix}}": outputs,
            "{{.taskTemplatePath}}": own,
            "{{.rawOutputDataPrefix}}": os.path.join(folder, "raw"),
            "{{.checkpointOutputPrefix}}": os.path.join(folder, "checkpoints"),
            "{{.prevCheckpointPrefix}}": "",
        }
        program, *arguments = [places.get(argument, argument) for argument in command]
        assert program == "pyflyte-execute", command
        execute_task_cmd.main(arguments, standalone_mode=False)
        failed = os.path.join(outputs, "error.pb")
        if os.path.exists(failed):
            return {"error": load(errors_pb2.ErrorDocument(), failed).error.message}
        literals = LiteralMap.from_flyte_idl(load(literals_pb2.LiteralMap(), os.path.join(outputs, "outputs.pb")))
        types = task.python_interface.outputs
        values = TypeEngine.literal_map_to_kwargs(context, literals, types)
        return [printable(values[output]) for output in types]


def execute(job):
    if job.get("env") is not None:
        os.environ.clear()
        os.environ.update(job["env"])
    if "workflow" in job:
        return list(entity_of(job["workflow"])())
    return execute_task(job["task"], job["command"], job.get("inputs", {}))


def main(what, arguments):
    if what == "templates":
        return templates(arguments)
    jobs = control_plane.read_jobs(arguments[0])
    for job in jobs:
        entity_of(job.get("task") or job["workflow"])
    # A process of its own for each, as in containers. flytekit calls its temporary files by random numbers, which a fork
    # would draw as its siblings do.
    with multiprocessing.get_context("fork").Pool(2, random.seed, maxtasksperchild=1) as pool:
        return pool.map(execute, jobs, chunksize=1)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:])))
