"""A process that passes records through a group, to be stopped and killed by tests.

``python passing.py URL GROUP SOURCE TARGET SESSION [STOP]``: every record of SOURCE is
appended to TARGET in the transaction that moves the group's offset. It says on
standard output what happens to it, a word a line: ``joined``, then for each batch
``committed N``, ``fenced`` or ``not-committed``.

With STOP it stops itself (SIGSTOP) once: ``before`` anything of its first transaction
is written, or in the ``middle`` of it, with the records sent and the offsets added.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from connectors.streams import Fenced, NotCommitted, Outgoing, open_streams


def stop_in_the_middle() -> None:
    """Stop this process when its first transaction is about to be ended."""
    from aiokafka import AIOKafkaProducer

    commit = AIOKafkaProducer.commit_transaction

    async def stop_and_commit(self: AIOKafkaProducer) -> None:
        AIOKafkaProducer.commit_transaction = commit
        os.kill(os.getpid(), signal.SIGSTOP)
        await commit(self)

    AIOKafkaProducer.commit_transaction = stop_and_commit


async def pass_through(  # noqa: PLR0913  its arguments are the command line
    url: str, group: str, source: str, target: str, *, session: float, stop: str
) -> None:
    """Run until killed."""
    async with (
        open_streams(url) as streams,
        streams.group(group, [source], max_records=50, session_timeout=session) as member,
    ):
        say("joined")
        async for batch in member:
            outgoing = [
                Outgoing(target, record.key, record.value, record.headers)
                for record in batch.records
            ]
            if stop == "before":
                stop = ""
                os.kill(os.getpid(), signal.SIGSTOP)
            try:
                await member.commit(batch, outgoing)
            except Fenced:
                say("fenced")
            except NotCommitted:
                say("not-committed")
            else:
                say(f"committed {len(batch.records)}")


def say(text: str) -> None:
    """Tell the test."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """Read the arguments and begin."""
    url, group, source, target, session, *rest = arguments
    stop = rest[0] if rest else ""
    if stop == "middle":
        stop_in_the_middle()
    asyncio.run(pass_through(url, group, source, target, session=float(session), stop=stop))


if __name__ == "__main__":
    main(sys.argv[1:])
