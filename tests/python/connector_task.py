"""A task that the example connector runs, as its author writes it."""

from datetime import timedelta

from flytekit import ContainerTask, Resources, TaskMetadata


class HttpJob(ContainerTask):
    """A container that runs as a Job, through an HTTP API."""

    @property
    def task_type(self):
        return "http_job"


hello = HttpJob(
    name="hello",
    image="localhost/busybox:1",
    command=["echo"],
    arguments=["hello"],
    limits=Resources(cpu="1", mem="1Gi"),
    metadata=TaskMetadata(timeout=timedelta(hours=1)),
)
