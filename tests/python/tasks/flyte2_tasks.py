"""Tasks of Flyte 2 that need secrets, as a task author writes them.

They return what they read so that a test can look at it; a real task keeps it to itself.
"""
import os
import pathlib

import flyte

MOUNT = pathlib.Path("/etc/flyte/secrets")

by_name = flyte.TaskEnvironment(name="by_name", image="localhost/busybox:1", secrets="api-key")
as_variables = flyte.TaskEnvironment(
    name="as_variables",
    image="localhost/busybox:1",
    secrets=[flyte.Secret(key="user_password", as_env_var="PASSWORD"), flyte.Secret("api-key", group="user-info")],
)
as_files = flyte.TaskEnvironment(
    name="as_files", image="localhost/busybox:1", secrets=[flyte.Secret(key="License", mount=MOUNT)]
)
of_groups = flyte.TaskEnvironment(
    name="of_groups",
    image="localhost/busybox:1",
    secrets=[
        flyte.Secret(key="user_password", group="user-info"),
        flyte.Secret(key="License", group="certificates", mount=MOUNT),
    ],
)


@by_name.task
async def its_name_is_the_variable() -> list[str]:
    return [os.environ["API_KEY"]]


@as_variables.task
async def variables() -> list[str]:
    return [os.environ["PASSWORD"], os.environ["USER_INFO_API_KEY"]]


@as_files.task
async def file() -> list[str]:
    path = MOUNT / "License"
    return [str(path), path.read_text()]


@of_groups.task
async def variable_and_file_of_groups() -> list[str]:
    """As Kubernetes Secrets, whose names are the groups; a file is below its group."""
    path = MOUNT / "certificates" / "license"
    return [os.environ["USER_INFO_USER_PASSWORD"], str(path), path.read_text()]
