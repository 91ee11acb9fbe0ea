"""``concordat agreement simulate`` and ``concordat agreement drift``."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from broker.cli.agreements import File, agreement_app
from broker.cli.files import read_limited
from broker.cli.options import HERE, Dir, Json, Since, Until, period_of, print_json, settings_of
from broker.cli.progress import showing

if TYPE_CHECKING:
    from broker.drift import Drift
    from broker.past import Told


def register(_app: typer.Typer) -> None:
    """Add the commands to ``concordat agreement``."""
    agreement_app.command("simulate")(simulate_file)
    agreement_app.command("drift")(report)


def simulate_file(
    file: File,
    since: Since = "",
    until: Until = "",
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Tell what a draft would have shared of past events, against what really was."""
    from agreements.problems import AgreementInvalid
    from agreements.validating import validate_text
    from broker.cli.simulation import show
    from broker.scheme import SchemeFolder
    from broker.simulated import to_json
    from broker.simulating import Simulation, simulate

    period = period_of(since, until)
    scheme = SchemeFolder(settings_of(folder))
    validation = validate_text(read_limited(file), name=str(file), catalogue=scheme.catalogue)
    draft = validation.agreement
    if draft is None:
        raise AgreementInvalid(str(file), validation.problems)

    async def work(told: "Told") -> Simulation:
        async with scheme.streams() as streams:
            return await simulate(
                streams,
                lambda: scheme.trial(draft),
                scheme.opening(streams),
                period=period,
                group=scheme.settings.router.group,
                told=told,
            )

    began = time.perf_counter()
    with showing("simulating") as told:
        simulation = asyncio.run(work(told))
    seconds = time.perf_counter() - began
    found = to_json(simulation, draft, validation.problems, period=period, seconds=seconds)
    if as_json:
        print_json(found)
    else:
        show(Console(highlight=False), found)


def report(
    since: Since = "",
    until: Until = "",
    unused_days: Annotated[
        int,
        typer.Option(
            "--unused-days", min=1, max=3650, help="After how long without a permit to tell."
        ),
    ] = 30,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Tell where traffic departs from the agreements in force, and what to do about it."""
    from broker.cli.drift import show, to_json
    from broker.drift import report_drift
    from broker.scheme import SchemeFolder

    period = period_of(since, until)
    if period.until is None:
        period = replace(period, until=datetime.now(UTC))
    scheme = SchemeFolder(settings_of(folder))

    async def work(told: "Told") -> "Drift":
        async with scheme.streams() as streams:
            return await report_drift(
                streams,
                scheme.control(),
                period=period,
                unused=timedelta(days=unused_days),
                told=told,
            )

    with showing("reading decisions") as told:
        drift = asyncio.run(work(told))
    found = to_json(drift, period, unused_days)
    if as_json:
        print_json(found)
    else:
        show(Console(highlight=False), found)
