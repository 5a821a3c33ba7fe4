"""Secrets of a workflow, as a task author asks for them where Kubernetes Secrets or the webhook's own secrets serve them.

The tasks return what they read so that a test can look at it; a real task keeps it to itself.
"""
import os
from typing import Tuple

from flytekit import Secret, current_context, task, workflow

USER = "user-info"
CERTIFICATES = "certificates"
API = "api"


@task(secret_requests=[Secret(group=USER, key="user_name", mount_requirement=Secret.MountType.ENV_VAR)])
def one_secret() -> str:
    return current_context().secrets.get(USER, "user_name")


@task(
    secret_requests=[
        Secret(group=USER, key="user_name", mount_requirement=Secret.MountType.ENV_VAR),
        Secret(group=USER, key="user_password", mount_requirement=Secret.MountType.ENV_VAR),
    ]
)
def two_keys_of_a_group() -> Tuple[str, str]:
    secrets = current_context().secrets
    return secrets.get(USER, "user_name"), secrets.get(USER, "user_password")


@task(secret_requests=[Secret(group=USER, key="user_password")])
def as_the_platform_likes() -> str:
    return current_context().secrets.get(USER, "user_password")


@task(secret_requests=[Secret(group=CERTIFICATES, key="Root.PEM", mount_requirement=Secret.MountType.FILE)])
def file_and_value() -> Tuple[str, str, str]:
    secrets = current_context().secrets
    path = secrets.get_secrets_file(CERTIFICATES, "Root.PEM")
    with open(path) as file:
        return path, file.read(), secrets.get(CERTIFICATES, "Root.PEM")


@task(
    secret_requests=[
        Secret(group=API, key="token", group_version="v2", mount_requirement=Secret.MountType.ENV_VAR),
        Secret(group=CERTIFICATES, key="Root.PEM", group_version="v7", mount_requirement=Secret.MountType.FILE),
    ]
)
def of_a_version() -> Tuple[str, str, str]:
    secrets = current_context().secrets
    return (
        secrets.get(API, "token", group_version="v2"),
        secrets.get(API, "token"),
        secrets.get(CERTIFICATES, "Root.PEM", group_version="v7"),
    )


@task(
    secret_requests=[
        Secret(group=API, key="token", env_var="API_TOKEN", mount_requirement=Secret.MountType.ENV_VAR),
        Secret(group=CERTIFICATES, key="Root.PEM", env_var="CA_FILE", mount_requirement=Secret.MountType.FILE),
    ]
)
def under_names_of_its_own() -> Tuple[str, str]:
    with open(os.environ["CA_FILE"]) as file:
        return os.environ["API_TOKEN"], file.read()


@workflow
def sign_in() -> Tuple[str, str, str, str, str]:
    name = one_secret()
    same_name, password = two_keys_of_a_group()
    path, certificate, value = file_and_value()
    return name, same_name, password, certificate, value
