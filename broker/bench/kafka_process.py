"""One Apache Kafka broker as a local process, from Maven jars, to measure and to test on.

The jars are fetched once into the cache (``CONCORDAT_CACHE`` or the project's
``.cache``). A broker keeps its port and its data over :meth:`LocalKafka.stop` and
:meth:`LocalKafka.start`, so tests can take it away from under their feet.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FILES = PROJECT / "deploy" / "test-kafka"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Kafka's first request (ApiVersions, version 0), which every broker answers."""


class Unavailable(Exception):
    """This way of getting a Kafka is not to be had here; the text says why."""


def version() -> str:
    """Return which Kafka it is, as ``pom.xml`` says."""
    found = re.search("<kafka.version>(.+)</kafka.version>", (FILES / "pom.xml").read_text())
    if found is None:
        raise Unavailable(f"{FILES / 'pom.xml'} does not name a kafka.version")
    return found[1]


def cache_folder() -> Path:
    """Return where what was fetched of this version is kept between test runs."""
    cache = Path(os.environ.get("CONCORDAT_CACHE", PROJECT / ".cache"))
    return cache / "test-kafka" / version()


def fetch_jars() -> Path:
    """Return the folder of Kafka's jars, fetched now if they are not in the cache."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise Unavailable(f"there is no {program} on the path")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    jars = cache / "libs"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "complete").exists():
            command = ["mvn", "-q", "-B", "-f", str(FILES / "pom.xml")]
            copy = "dependency:copy-dependencies"
            done = subprocess.run(  # noqa: S603  found on the path just now
                [*command, copy, f"-DoutputDirectory={jars}"],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise Unavailable(f"Maven did not fetch Kafka: {done.stdout[-400:].strip()}")
            (cache / "complete").touch()
    return jars


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_kafka(port: int, *, seconds: float, has_ended: Callable[[], bool]) -> None:
    """Return once a broker answers on the port.

    Raises:
        Unavailable: none did in time, or ``has_ended`` says that none will.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if has_ended():
            raise Unavailable("the broker ended while starting")
        # To connect is not enough: Docker's proxy accepts before there is a broker.
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as line:
            line.sendall(_API_VERSIONS)
            if line.recv(4):
                return
        time.sleep(0.05)
    raise Unavailable(f"no broker answers on port {port} after {seconds:.0f} seconds")


def settings(*, port: int, bind: str, directory: str) -> dict[str, str]:
    """Return the broker's settings of ``deploy/test-kafka`` with their places filled in."""
    text = (FILES / "server.properties").read_text()
    for mark, value in (
        ("@PORT@", str(port)),
        ("@CONTROLLER_PORT@", str(free_port())),
        ("@BIND@", bind),
        ("@DIRECTORY@", directory),
    ):
        text = text.replace(mark, value)
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


class LocalKafka:
    """A broker that can be stopped, killed and started again with its data."""

    def __init__(self, *, heap: str = "1g") -> None:
        self._jars = fetch_jars()
        self._heap = heap
        self._folder = Path(tempfile.mkdtemp(prefix="concordat-kafka-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._write_settings()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and return when it answers."""
        with (self._folder / "output.log").open("ab") as output:
            # The broker ends with the tests, however they end.
            tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
            self._process = subprocess.Popen(  # noqa: S603  Java with our own arguments
                [*tied, *self._java(f"-Xmx{self._heap}"), "kafka.Kafka", str(self._settings)],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            wait_for_kafka(self.port, seconds=_START_SECONDS, has_ended=self._has_ended)
        except Unavailable as problem:
            self.stop(kill=True)
            tail = (self._folder / "output.log").read_text(errors="replace")[-1500:]
            raise Unavailable(f"{problem}: {tail}") from problem

    def stop(self, *, kill: bool = False) -> None:
        """Stop it in good order, or kill it."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop it and forget its data."""
        self.stop(kill=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _java(self, heap: str) -> list[str]:
        return ["java", heap, "-XX:+UseSerialGC", "-cp", f"{self._jars}/*"]

    def _write_settings(self) -> None:
        self._settings = self._folder / "server.properties"
        values = settings(port=self.port, bind="127.0.0.1", directory=str(self._folder / "data"))
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        identity = uuid.uuid4().hex
        command = ["kafka.tools.StorageTool", "format", "-t", identity, "-c", str(self._settings)]
        subprocess.run(  # noqa: S603  as above
            [*self._java("-Xmx128m"), *command], check=True, capture_output=True
        )
