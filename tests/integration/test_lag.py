"""`concordat status` shows how far the log and the query store lag behind the decisions."""

import asyncio
from pathlib import Path

from audit_records import Told, blind
from commands import answer_here, concordat_here
from town import found_town, the_agreement

from broker.routing import DECISIONS
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.status import status_of
from connectors.streams import Outgoing


async def test_the_log_and_the_query_store_say_how_many_decisions_they_are_behind(
    tmp_path: Path,
) -> None:
    """In JSON and in words; where there is no query store yet, nothing is said of one."""
    folder = tmp_path / "scheme"
    async with found_town(folder) as town:
        await town.agree(the_agreement())
        await town.publish(2)
        await town.route()
    scheme = SchemeFolder(read_settings(folder, {}))

    async def lags() -> tuple[int, int | None]:
        async with scheme.streams() as streams:
            found = await status_of(scheme, streams)
        store = found["query_store"]
        return found["log"]["behind"], None if store is None else store["behind"]

    async def more(number: int) -> None:
        async with scheme.streams() as streams:
            value = Told("e", [blind("amy")]).to_bytes()
            await streams.append([Outgoing(DECISIONS, b"key", value)] * number)

    async def run(*command: str) -> None:
        await asyncio.to_thread(answer_here, *command, folder=folder)

    async with scheme.streams() as streams:
        everything = (await streams.end(DECISIONS))[0]
    assert await lags() == (everything, None)
    await run("evidence", "update")
    await run("audit", "reindex")
    assert await lags() == (0, 0)
    await more(3)
    await run("evidence", "update")
    await more(2)
    assert await lags() == (2, 5)
    said = (await asyncio.to_thread(concordat_here, "status", folder=folder)).stdout
    assert f"the log has {everything + 3} entries, 2 decisions and acts behind" in said
    assert f"the query store has {everything} entries, 5 decisions and acts behind" in said


async def test_a_query_store_of_another_key_does_not_keep_the_rest_from_being_told(
    tmp_path: Path,
) -> None:
    """Whoever looks after the service learns all of it at once."""
    folder = tmp_path / "scheme"
    async with found_town(folder):
        pass
    await asyncio.to_thread(answer_here, "audit", "reindex", folder=folder)
    scheme = SchemeFolder(read_settings(folder, {}))
    scheme.audit_keys = type(scheme.audit_keys)((bytes(32),))
    async with scheme.streams() as streams:
        found = await status_of(scheme, streams)
    assert "audit reindex" in found["query_store"]["problem"]
    assert found["log"] is not None
    assert found["waiting"] == 0
