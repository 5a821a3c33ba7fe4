"""Secrets that were stored by name (`flyte create secret`): flytekit wants a group to be named, and it is empty."""
import os
from typing import Tuple

from flytekit import Secret, current_context, task, workflow


@task(secret_requests=[Secret(group="", key="api_key")])
def value() -> str:
    return current_context().secrets.get(key="api_key")


@task(secret_requests=[Secret(group="", key="License", mount_requirement=Secret.MountType.FILE)])
def file_and_value() -> Tuple[str, str, str]:
    secrets = current_context().secrets
    path = secrets.get_secrets_file(key="License")
    with open(path) as file:
        return path, file.read(), secrets.get(key="License")


@task(
    secret_requests=[
        Secret(group="team", key="api_key", env_var="TEAM_API_KEY"),
        Secret(group="team", key="License", env_var="LICENSE_FILE", mount_requirement=Secret.MountType.FILE),
    ]
)
def under_names_of_its_own() -> Tuple[str, str]:
    with open(os.environ["LICENSE_FILE"]) as file:
        return os.environ["TEAM_API_KEY"], file.read()


@workflow
def licensed() -> Tuple[str, str, str]:
    key = value()
    path, text, license = file_and_value()
    return key, text, license
