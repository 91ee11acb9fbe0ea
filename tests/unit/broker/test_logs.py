"""What an operator reads of the libraries, by the level that was asked for."""

import io
import json
import logging

import pytest

from broker.logs import configure_logs
from broker.settings import LogSettings


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", ["debug", "info", "warning", "error", "critical"]),
        ("info", ["error", "critical"]),
        ("warning", ["error", "critical"]),
        ("error", ["critical"]),
    ],
)
def test_kafkas_client_is_quieter_than_we_are(level: str, told: list[str]) -> None:
    """It warns several times a second while a broker is away, and tries again by itself."""
    stream = io.StringIO()
    configure_logs(LogSettings(level=level), stream=stream)
    client = logging.getLogger("aiokafka.consumer.group_coordinator")
    for name in ("debug", "info", "warning", "error", "critical"):
        client.log(getattr(logging, name.upper()), "the test's own")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == told
