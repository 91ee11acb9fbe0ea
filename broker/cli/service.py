"""``concordat run``."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.options import HERE, Dir, Json, print_json, settings_of

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder
    from connectors.streams import Streams

_PARTS: Final = ("router", "freshness", "relay", "evidence", "audit")


def register(app: typer.Typer) -> None:
    """Add the command to ``concordat``."""
    app.command("run")(run)


def run(
    folder: Dir = HERE,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when nothing is left to route.")
    ] = False,
    only: Annotated[
        str, typer.Option(help=f"Only these parts, of {', '.join(_PARTS)}; all without it.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Run the service until stopped (SIGINT or SIGTERM): route what is published.

    Where the scheme's private key is, also say again and again that the rules are up to
    date; routers stop when nobody does. Where the store is, publish what waits in it.
    Where the log's keys are, write every decision into the log and sign it, and keep the
    query store up to date that auditors' questions are answered from, and that tells
    who has to hear of an event that was taken back.
    """
    parts = tuple(part.strip() for part in only.split(",") if part.strip()) or _PARTS
    if unknown := [part for part in parts if part not in _PARTS]:
        raise typer.BadParameter(f"{unknown[0]}: expected some of {', '.join(_PARTS)}")
    from broker.logs import configure_logs
    from broker.scheme import SchemeFolder

    settings = settings_of(folder)
    scheme = SchemeFolder(settings)
    # With an answer on standard output, the log goes beside it.
    configure_logs(settings.logs, stream=sys.stderr if until_idle or as_json else None)

    async def work() -> dict[str, int]:
        async with scheme.streams() as streams, contextlib.AsyncExitStack() as stack:
            loop = asyncio.get_running_loop()
            await _put_beside(stack, scheme, streams, parts=parts, until_idle=until_idle)
            if "router" not in parts:
                stopping = asyncio.Event()
                _on_signals(loop, stopping.set)
                if "freshness" in parts:
                    await scheme.keep_fresh(streams, stopping)
                else:
                    await stopping.wait()
                return {}
            telling = None
            if "audit" in parts and scheme.has_log:
                telling = stack.enter_context(scheme.telling(streams))
            service = scheme.service(streams, issues="freshness" in parts, telling=telling)
            _on_signals(loop, service.stop)
            await service.run(until_idle=until_idle)
            return dict(sorted(service.tally.items()))

    tally = asyncio.run(work())
    if as_json:
        print_json({"tally": tally})
    elif until_idle:
        for what, number in tally.items():
            typer.echo(f"{number:8} {what}")


async def _put_beside(
    stack: contextlib.AsyncExitStack,
    scheme: "SchemeFolder",
    streams: "Streams",
    *,
    parts: Collection[str],
    until_idle: bool,
) -> None:
    """Begin what goes on beside the router, to be ended with the stack."""
    if "relay" in parts:
        from broker.relaying import relaying

        await stack.enter_async_context(relaying(scheme, streams))
    if "evidence" in parts and scheme.has_log:
        from broker.evidence.following import log_kept

        await stack.enter_async_context(
            log_kept(scheme.log_path, scheme.log_keys, streams, origin=scheme.log_origin)
        )
        if not until_idle:
            from broker.evidence.retaining import retention_kept

            await stack.enter_async_context(retention_kept(scheme, streams))
    if "audit" in parts and scheme.has_log:
        from broker.audit.following import store_kept

        await stack.enter_async_context(
            store_kept(streams, scheme.open_audit_store, scheme.signed_log)
        )


def _on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
