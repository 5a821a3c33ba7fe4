"""Secrets that a container of the pod fetches from a cloud's store, under the names that each of them wants."""
from flytekit import Secret, current_context, task

AWS = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
AZURE = "https://flyte.vault.azure.net/secrets/API-token"
VAULT = "secret/data/user-info"


@task(secret_requests=[Secret(group=AWS, key="user_password")])
def aws() -> str:
    return current_context().secrets.get(AWS, "user_password")


@task(secret_requests=[Secret(group="API-token", group_version="2")])
def gcp() -> str:
    return current_context().secrets.get("API-token", group_version="2")


@task(secret_requests=[Secret(group=AZURE)])
def azure() -> str:
    return current_context().secrets.get("API-token")


@task(secret_requests=[Secret(group=AZURE, group_version="8f1c")])
def azure_of_a_version() -> str:
    return current_context().secrets.get("API-token", group_version="8f1c")


@task(secret_requests=[Secret(group=VAULT, key="password", group_version="kv2")])
def vault() -> str:
    return current_context().secrets.get(VAULT, "password")
