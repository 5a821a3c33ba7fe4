"""What stands between a task author's files and a pod of Flyte 2, done with its own SDK.

    run_flyte2.py templates MODULE...     every task of these modules, as `flyte deploy` would send it, as JSON
    run_flyte2.py execute JOBS            runs tasks, prints what they return as one line of JSON

Templates and JOBS are those of run_flytekit.py; a task runs by `a0`, the program of its container.
"""
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import certifi
from flyte import TaskEnvironment
from flyte._internal.runtime.task_serde import translate_task_to_wire
from flyte.models import SerializationContext
from flyteidl2.core import execution_pb2
from flyteidl2.task import common_pb2
from google.protobuf import json_format

import control_plane

HERE = pathlib.Path(__file__).parent.resolve()
CONTEXT = SerializationContext(version="1", org="flyte", project="flytesnacks", domain="development", root_dir=HERE)
# What the control plane sets for the SDK (nobody listens there, and no task starts another), and CAs, which a task's image has.
SDK = {
    "SSL_CERT_FILE": certifi.where(),
    "_U_ORG_NAME": "flyte",
    "FLYTE_INTERNAL_EXECUTION_PROJECT": "flytesnacks",
    "FLYTE_INTERNAL_EXECUTION_DOMAIN": "development",
    "_U_EP_OVERRIDE": "dns:///127.0.0.1:9",
    "_U_INSECURE": "true",
    "LOG_LEVEL": "30",
}


def template(task):
    made = translate_task_to_wire(task, CONTEXT).task_template
    return control_plane.template(made.security_context.secrets, made.container.args)


def templates(modules):
    found = {}
    for module in modules:
        for entity in vars(importlib.import_module(module)).values():
            if isinstance(entity, TaskEnvironment):
                found.update({f"{module}.{task.func.__name__}": template(task) for task in entity.tasks.values()})
    return found


def load(message, path):
    message.ParseFromString(path.read_bytes())
    return json_format.MessageToDict(message)


def execute(job):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        inputs, outputs = folder / "inputs.pb", folder / "outputs"
        inputs.write_bytes(common_pb2.Inputs().SerializeToString())
        outputs.mkdir()
        places = {
            "{{.input}}": str(inputs),
            "{{.outputPrefix}}": str(outputs),
            "{{.rawOutputDataPrefix}}": str(folder / "raw"),
            "{{.checkpointOutputPrefix}}": str(folder / "checkpoints"),
            "{{.prevCheckpointPrefix}}": "",
            "{{.runName}}": "run",
            "{{.actionName}}": "a0",
        }
        program, *arguments = [places.get(argument, argument) for argument in job["command"]]
        assert program == "a0", job["command"]
        env = {**(os.environ if job.get("env") is None else job["env"]), **SDK, "_U_RUN_BASE": name}
        # Beside the Python that runs this.
        a0 = pathlib.Path(sys.executable).with_name(program)
        ended = subprocess.run([a0, *arguments], cwd=HERE, env=env, capture_output=True, text=True)
        if (outputs / "error.pb").exists():
            return {"error": load(execution_pb2.ErrorDocument(), outputs / "error.pb")["error"]["message"]}
        if not (outputs / "outputs.pb").exists():
            sys.exit(ended.stderr)
        returned = load(common_pb2.Outputs(), outputs / "outputs.pb")["literals"][0]["value"]["collection"]["literals"]
        return [literal["scalar"]["primitive"]["stringValue"] for literal in returned]


def main(what, arguments):
    if what == "templates":
        return templates(arguments)
    return [execute(job) for job in control_plane.read_jobs(arguments[0])]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:])))
