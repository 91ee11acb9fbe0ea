"""A real Apache Kafka for the tests, from wherever one can be had.

Looked for in this order: the address ``CONCORDAT_TEST_KAFKA``; a container, where
Docker answers; a local process from Maven jars. Where Docker answers but has no image,
the next way is taken and the reason told.

``CONCORDAT_TEST_KAFKA_IMAGE`` names another image than the public one;
``CONCORDAT_TEST_BASE`` names a base image with Java 17 from which
``deploy/test-kafka/Dockerfile`` is built instead.
"""

import os
import shutil
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.local_kafka import (
    FILES,
    LocalKafka,
    Unavailable,
    cache_folder,
    fetch_jars,
    free_port,
    settings,
    version,
    wait_for_kafka,
)

DOCKER_SOCKET = "/var/run/docker.sock"
PUBLIC_IMAGE = f"apache/kafka:{version()}"
_START_SECONDS = 90.0


@dataclass
class Kafka:
    """A broker that the tests may use."""

    address: str
    origin: str
    """Which of the ways gave it."""
    close: Callable[[], None] = lambda: None
    notes: list[str] = field(default_factory=list)
    """Why ways before this one were not taken."""


def find_kafka() -> Kafka:
    """Return a broker that answers.

    Raises:
        Unavailable: none of the ways leads to one; the text says why for each.
    """
    address = os.environ.get("CONCORDAT_TEST_KAFKA")
    if address:
        return Kafka(address.removeprefix("kafka://"), "the address in CONCORDAT_TEST_KAFKA")
    notes = []
    for way in (_in_a_container, _as_a_process):
        try:
            kafka = way()
        except Unavailable as reason:
            notes.append(str(reason))
        else:
            kafka.notes.extend(notes)
            return kafka
    raise Unavailable("; ".join(notes))


def _as_a_process() -> Kafka:
    broker = LocalKafka()
    try:
        broker.start()
    except Unavailable:
        broker.remove()
        raise
    return Kafka(broker.address, "a local process", broker.remove)


def _in_a_container() -> Kafka:
    client = docker_client()
    try:
        image = _image(client)
    finally:
        client.close()
    container, port = _container(image)
    try:
        container.start()
        wait_for_kafka(port, seconds=_START_SECONDS, has_ended=lambda: _has_ended(container))
    except Exception as error:
        container.stop()
        raise Unavailable(f"the container of {image} did not start: {error}") from error
    return Kafka(f"127.0.0.1:{port}", f"testcontainers with {image}", container.stop)


def docker_client() -> Any:
    """Return Docker's client. Raises ``Unavailable`` where Docker does not answer."""
    import docker
    from docker.errors import DockerException

    _knock()
    try:
        client = docker.from_env()
    except DockerException as error:
        raise Unavailable("Docker does not answer") from error
    try:
        client.ping()
    except (DockerException, OSError) as error:
        client.close()
        raise Unavailable("Docker does not answer") from error
    return client


def _knock() -> None:
    """See whether anybody listens where Docker is by default.

    The client leaves its socket open when nobody does, and the warning about it would
    fail whichever test runs when the socket is collected.
    """
    if "DOCKER_HOST" in os.environ:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(DOCKER_SOCKET)
        except OSError as error:
            raise Unavailable("Docker does not answer") from error


def _image(client: Any) -> str:
    """Return the name of an image that Docker has now."""
    base = os.environ.get("CONCORDAT_TEST_BASE")
    name = os.environ.get("CONCORDAT_TEST_KAFKA_IMAGE")
    if base and not name:
        return _build(client, base)
    return pulled(client, name or PUBLIC_IMAGE)


def pulled(client: Any, name: str) -> str:
    """Return the name of an image once Docker has it. Raises ``Unavailable``."""
    from docker.errors import DockerException, ImageNotFound

    try:
        client.images.get(name)
    except ImageNotFound:
        try:
            client.images.pull(name)
        except DockerException as error:
            raise Unavailable(f"Docker answers but has no image {name}") from error
    return name


def _build(client: Any, base: str) -> str:
    from docker.errors import DockerException

    fetch_jars()
    context = cache_folder()
    for name in ("Dockerfile", "start.sh"):
        shutil.copy(FILES / name, context / name)
    tag = "concordat-test-kafka:local"
    try:
        client.images.build(path=str(context), tag=tag, buildargs={"BASE": base}, rm=True)
    except DockerException as error:
        raise Unavailable(f"the image could not be built on {base}: {error}") from error
    return tag


def _container(image: str) -> tuple[Any, int]:
    from testcontainers.core.container import DockerContainer

    # A broker tells clients its address, so the port outside is the port inside.
    port = free_port()
    container = DockerContainer(image)
    # Its own method for ports takes no address, and would listen on every network.
    container.ports[f"{port}/tcp"] = ("127.0.0.1", port)
    container.with_env("CLUSTER_ID", uuid.uuid4().hex).with_env("KAFKA_HEAP_OPTS", "-Xmx1g")
    for name, value in settings(
        port=port,
        bind="0.0.0.0",  # noqa: S104  inside the container
        directory="/var/lib/kafka/data",
    ).items():
        container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)
    return container, port


def _has_ended(container: Any) -> bool:
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    return wrapped.status in ("exited", "dead")
