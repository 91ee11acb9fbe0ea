"""Whether what was put on record is sure to be known to every router, and saying so."""

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder
    from broker.submitting import Submitted
    from connectors.streams import Streams

_LOOK_AGAIN_SECONDS = 0.25


async def published(
    scheme: "SchemeFolder", streams: "Streams | None", done: "Submitted", *, seconds: float
) -> "Submitted":
    """Wait until the scheme has signed a ``control`` with the statement on it, or time is up.

    Where the scheme's key is in the folder that is so at once; elsewhere ``concordat run``
    signs it, every minute or more often.
    """
    from broker.register import PARTIES, open_register

    until = time.monotonic() + seconds
    while not done.is_covered and done.offset is not None and time.monotonic() < until:
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        register = await open_register(scheme, streams, about=PARTIES, is_to_stop=True)
        done = replace(done, is_covered=done.offset < await register.covered_to())
    return done


def say_published(scheme: "SchemeFolder", done: "Submitted") -> None:
    """Say how far the statement has come."""
    if not done.is_kept:
        typer.echo("The store does not answer; it is taken in when it does again.", err=True)
    if done.offset is None:
        say_waiting(scheme)
    elif done.is_covered:
        typer.echo("It is on control, and the scheme has signed that it is there.")
    else:
        typer.echo(
            "It is on control. The scheme has not signed yet that it is there, which"
            " `concordat run` does where the scheme's key is: see `concordat agreement status`."
        )


def say_waiting(scheme: "SchemeFolder") -> None:
    """Say what is kept and not published yet, where there is something."""
    if waiting := scheme.store.outbox.count_unpublished():
        typer.echo(
            f"The streams do not answer: {waiting} records are kept, and `concordat run` or the"
            " next command publishes them. Until then they change nothing.",
            err=True,
        )
