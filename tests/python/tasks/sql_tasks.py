"""Queries whose password is a secret, as a task author writes them. libpq takes the port from PGPORT."""
from flytekit import Secret, kwtypes
from flytekit.types.schema import FlyteSchema
from flytekitplugins.sqlalchemy import SQLAlchemyConfig, SQLAlchemyTask

QUERY = "SELECT number, number * number AS square FROM generate_series(1, {{ .inputs.count }}) AS number ORDER BY number"


def squares(name, password):
    return SQLAlchemyTask(
        name,
        query_template=QUERY,
        inputs=kwtypes(count=int),
        output_schema_type=FlyteSchema[kwtypes(number=int, square=int)],
        task_config=SQLAlchemyConfig(
            uri="postgresql+psycopg2://flyte@127.0.0.1/flyte",
            # As text: a number in a template is a float, which psycopg2 refuses.
            connect_args={"connect_timeout": "10"},
            secret_connect_args={"password": password},
        ),
        secret_requests=[password],
    )


by_variable = squares(
    "by_variable", Secret(group="database", key="password", mount_requirement=Secret.MountType.ENV_VAR)
)
by_file = squares("by_file", Secret(group="database", key="password", mount_requirement=Secret.MountType.FILE))
of_a_version = squares("of_a_version", Secret(group="database", group_version="v2", key="password"))
stored_by_name = squares("stored_by_name", Secret(group="", key="warehouse_password"))
wrong = squares("wrong", Secret(group="", key="old_password"))
