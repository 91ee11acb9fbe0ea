"""What tests of several parts need: streams of each kind, and a Kafka for the session."""

import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Tests are about the source, whatever has been compiled; `test_compiled.py` compares the two.
os.environ.setdefault("CONCORDAT_TEST_PURE", "1")

# Where no bytecode is to lie beside the sources, every command that a test starts would
# compile all of them again, for a second: it lies in the cache instead.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    bytecode = Path(__file__).parents[1] / ".cache" / "bytecode"
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(bytecode))

from services.kafka import find_kafka
from services.local_kafka import LocalKafka, Unavailable
from services.postgres import Postgres, find_postgres

from broker import keystore
from connectors.streams import Streams, open_streams

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("concordat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("concordat")


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """Take back how a test set logging up, as commands do that it runs in its own process."""
    root, kafka = logging.getLogger(), logging.getLogger("aiokafka")
    handlers, level, level_of_kafka = root.handlers, root.level, kafka.level
    yield
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)
    kafka.setLevel(level_of_kafka)


@pytest.fixture(scope="session")
def kafka_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the address of a real Kafka, started once for the whole session."""
    try:
        kafka = find_kafka()
    except Unavailable as reason:
        pytest.skip(f"no Kafka is to be had: {reason}")
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        for note in kafka.notes:
            terminal.write_line(f"Kafka: {note}")
        terminal.write_line(f"Kafka: {kafka.origin} at {kafka.address}")
    try:
        yield f"kafka://{kafka.address}"
    finally:
        kafka.close()


@pytest.fixture(scope="session", autouse=True)
def _quick_keys() -> Iterator[None]:
    """Let key files open fast that tests make: `test_keystore` shows how slow real ones are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keystore, "_ITERATIONS", 1000)
        yield


@pytest.fixture
def own_kafka() -> Iterator[LocalKafka]:
    """Return a broker for one test alone, which the test may stop, kill and start."""
    try:
        broker = LocalKafka(heap="512m")
        broker.start()
    except Unavailable as reason:
        pytest.skip(f"no broker of one's own is to be had: {reason}")
    try:
        yield broker
    finally:
        broker.remove()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """Return a real PostgreSQL, started once for the whole session."""
    try:
        server = find_postgres()
    except Unavailable as reason:
        pytest.skip(f"no PostgreSQL is to be had: {reason}")
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(f"PostgreSQL: {server.origin}")
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the setting of a store of each kind in turn, empty."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'store.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as address:
        yield address


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def streams_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of streams of each kind in turn."""
    if request.param == "embedded":
        return f"sqlite:{tmp_path / 'streams.db'}"
    return str(request.getfixturevalue("kafka_url"))


@pytest.fixture
async def streams(streams_url: str) -> AsyncIterator[Streams]:
    """Return open streams of each kind in turn."""
    async with open_streams(streams_url) as opened:
        yield opened


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Return a function that makes a name of this test's own: Kafka serves all of them."""
    suffix = uuid.uuid4().hex[:8]
    return lambda name: f"{name}.{suffix}"
