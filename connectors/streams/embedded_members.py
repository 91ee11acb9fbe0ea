"""Who holds which log of a group: members, their leases, and the sharing out.

Every member works the sharing out for itself from the same table, so nobody leads.
A log changes hands in one transaction that also raises its epoch; a commit names
owner and epoch, so a member that slept through its lease cannot commit.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from connectors.streams.embedded_log import Log, read_topics


class Held(NamedTuple):
    """A log that a member has come to hold."""

    log: Log
    epoch: int
    next_offset: int


def share_out(logs: Sequence[Log], members: Sequence[tuple[str, frozenset[str]]]) -> dict[int, str]:
    """Give each log to the least loaded member that reads its topic.

    ``members`` are (id, topics) in the order in which they joined. The result
    depends on nothing else, so every member comes to the same one.
    """
    load = dict.fromkeys((member for member, _ in members), 0)
    owners = {}
    for log in logs:
        eligible = [member for member, topics in members if log.topic in topics]
        if eligible:
            owner = min(eligible, key=load.__getitem__)
            load[owner] += 1
            owners[log.id] = owner
    return owners


def renew(  # noqa: PLR0913  who, of what, until when
    connection: sqlite3.Connection,
    group: str,
    member: str,
    topics: Iterable[str],
    *,
    now: float,
    deadline: float,
) -> None:
    """Say that the member lives, and take out those that have not said so in time."""
    connection.execute(
        "INSERT INTO members VALUES (?, ?, ?, ?, ?) ON CONFLICT (grp, id)"
        " DO UPDATE SET deadline = excluded.deadline, topics = excluded.topics",
        (group, member, now, deadline, json.dumps(sorted(topics))),
    )
    expired = connection.execute(
        "SELECT id FROM members WHERE grp = ? AND deadline < ?", (group, now)
    ).fetchall()
    for (other,) in expired:
        remove(connection, group, other)


def remove(connection: sqlite3.Connection, group: str, member: str) -> None:
    """Take a member out and free what it held."""
    connection.execute("DELETE FROM members WHERE grp = ? AND id = ?", (group, member))
    connection.execute(
        "UPDATE positions SET owner = NULL, epoch = epoch + 1 WHERE grp = ? AND owner = ?",
        (group, member),
    )


def wanted(connection: sqlite3.Connection, group: str, member: str) -> list[Log]:
    """Return the logs that the member ought to hold."""
    members = [
        (name, frozenset(json.loads(topics)))
        for name, topics in connection.execute(
            "SELECT id, topics FROM members WHERE grp = ? ORDER BY joined_at, id", (group,)
        )
    ]
    read = frozenset[str]().union(*(topics for _, topics in members))
    logs = [
        Log(log, name, partition)
        for name, topic in sorted(read_topics(connection).items())
        if name in read
        for partition, log in enumerate(topic.logs)
    ]
    owners = share_out(logs, members)
    return [log for log in logs if owners.get(log.id) == member]


def held(connection: sqlite3.Connection, group: str, member: str) -> dict[int, int]:
    """Return the logs that the member holds, each with its epoch."""
    return dict(
        connection.execute(
            "SELECT log, epoch FROM positions WHERE grp = ? AND owner = ?", (group, member)
        ).fetchall()
    )


def claim(connection: sqlite3.Connection, group: str, member: str, log: Log) -> Held | None:
    """Take a log that nobody holds; ``None`` when somebody does."""
    connection.execute("INSERT OR IGNORE INTO positions (grp, log) VALUES (?, ?)", (group, log.id))
    taken = connection.execute(
        "UPDATE positions SET owner = ?, epoch = epoch + 1"
        " WHERE grp = ? AND log = ? AND owner IS NULL",
        (member, group, log.id),
    )
    if not taken.rowcount:
        return None
    next_offset, epoch = connection.execute(
        "SELECT next_offset, epoch FROM positions WHERE grp = ? AND log = ?", (group, log.id)
    ).fetchone()
    return Held(log, epoch, next_offset)


def release(connection: sqlite3.Connection, group: str, member: str, log: int) -> None:
    """Free a log for its next owner."""
    connection.execute(
        "UPDATE positions SET owner = NULL, epoch = epoch + 1"
        " WHERE grp = ? AND log = ? AND owner = ?",
        (group, log, member),
    )


def move(  # noqa: PLR0913  the four that name a holding, and the offset
    connection: sqlite3.Connection,
    group: str,
    member: str,
    log: int,
    *,
    epoch: int,
    next_offset: int,
) -> bool:
    """Move the group's offset of a log; false when the member does not hold it any more."""
    moved = connection.execute(
        "UPDATE positions SET next_offset = ?"
        " WHERE grp = ? AND log = ? AND owner = ? AND epoch = ?",
        (next_offset, group, log, member, epoch),
    )
    return moved.rowcount == 1


def read_lag(connection: sqlite3.Connection, group: str, topic: str) -> int:
    """Return how many records of a topic lie behind the group's offsets."""
    (lag,) = connection.execute(
        "SELECT coalesce(sum((SELECT count(*) FROM records r WHERE r.id >= (l.id << 40)"
        " + coalesce(p.next_offset, 0) AND r.id < (l.id << 40) + l.next_offset)), 0)"
        " FROM logs l LEFT JOIN positions p ON p.log = l.id AND p.grp = ? WHERE l.topic = ?",
        (group, topic),
    ).fetchone()
    return int(lag)
