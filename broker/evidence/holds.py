"""Legal holds: what a court, an inquiry or a claim may still need is not shredded.

A hold says which decision records it is about: those of an agreement, of a party, of a
person (blinded, as in the records), decided in a period. What it leaves open it does not
narrow; one that says nothing holds everything. Holds lie on a topic of their own, which
is kept for ever, and each that is put or lifted is an act in the log, in the same append.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar, Final, Self

from broker.acts import Act, ActKind, act_record, check_words
from connectors.streams import Outgoing, Streams
from schemas.errors import RejectedInput

HOLDS: Final = "legal-holds"
_ID_DIGITS: Final = 8


class BadHold(RejectedInput):
    """A hold cannot be put or lifted as it was told."""

    code: ClassVar[str] = "bad-hold"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which records; what is empty does not narrow. ``until`` is exclusive."""

    agreement: str = ""
    party: str = ""
    subjects: frozenset[bytes] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def covers(self, decision: Mapping[str, Any]) -> bool:
        """Whether a decision record is one of them."""
        candidates, decided_at = decision["candidates"], decision["decidedAt"]
        parties = {decision["publisher"], *(one["recipient"] for one in candidates)}
        return (
            (not self.agreement or self.agreement in {one["agreement"] for one in candidates})
            and (not self.party or self.party in parties)
            and (not self.subjects or not self.subjects.isdisjoint(decision["subjects"]))
            and (self.since is None or decided_at >= self.since)
            and (self.until is None or decided_at < self.until)
        )

    def to_json(self) -> dict[str, Any]:
        """Return what was set, for a machine; blinded identifiers in hexadecimal."""
        written = {
            "agreement": self.agreement,
            "party": self.party,
            "subjects": sorted(one.hex() for one in self.subjects),
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
        }
        return {name: value for name, value in written.items() if value}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            document.get("agreement", ""),
            document.get("party", ""),
            frozenset(bytes.fromhex(one) for one in document.get("subjects", ())),
            *(
                datetime.fromisoformat(document[name]) if name in document else None
                for name in ("since", "until")
            ),
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold, by whom and why, and when it was lifted, if it was."""

    id: str
    scope: Scope
    at: datetime
    by: str
    reason: str
    audit_keys: int
    """How many audit keys there were, under each of which the subjects are blinded."""
    lifted_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "id": self.id,
            "scope": self.scope.to_json(),
            "at": self.at.isoformat(),
            "by": self.by,
            "reason": self.reason,
            "lifted_at": None if self.lifted_at is None else self.lifted_at.isoformat(),
        }


async def read_holds(streams: Streams) -> dict[str, Hold]:
    """Return every hold by its id, the lifted ones included.

    Raises:
        BadHold: a record on the topic is none: until somebody has looked, nothing is shredded.

    """
    holds: dict[str, Hold] = {}
    if HOLDS not in await streams.topics():
        return holds
    async for record in streams.read(HOLDS):
        try:
            said = json.loads(record.value or b"")
            at, id_ = datetime.fromisoformat(said["at"]), said["id"]
            if said["does"] == "add":
                scope = Scope.from_json(said["scope"])
                keys = int(said["audit_keys"])
                holds[id_] = Hold(id_, scope, at, said["by"], said["reason"], keys)
            elif said["does"] == "lift" and id_ in holds:
                holds[id_] = replace(holds[id_], lifted_at=at)
            else:
                raise ValueError(id_)  # noqa: TRY301  told below, as whatever is no hold
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadHold(
                f"expected a legal hold at offset {record.offset} of {HOLDS}: find out who wrote"
                " something else there; nothing is shredded before"
            ) from None
    return holds


async def add_hold(  # noqa: PLR0913  who asked for what, when and why
    streams: Streams, scope: Scope, *, by: str, reason: str, at: datetime, audit_keys: int = 0
) -> Hold:
    """Stop the shredding of what a scope covers, and record it.

    Raises:
        BadHold: the period ends before it begins.
        BadAct: who or why cannot stand in the log.

    """
    if scope.since is not None and scope.until is not None and scope.since >= scope.until:
        raise BadHold("expected a period that ends after it begins")
    at = _to_millisecond(at)
    said = {"does": "add", "at": at.isoformat(), "by": by, "reason": reason}
    body = {**said, "scope": scope.to_json(), "audit_keys": audit_keys}
    id_ = sha256(json.dumps(body).encode()).hexdigest()[:_ID_DIGITS]
    await _say(streams, id_, body, at=at)
    return Hold(id_, scope, at, by, reason, audit_keys)


async def lift_hold(streams: Streams, id_: str, *, by: str, reason: str, at: datetime) -> Hold:
    """Let shredding go on, and record it.

    Raises:
        BadHold: there is no such hold, or it was lifted before.
        BadAct: who or why cannot stand in the log.

    """
    hold = (await read_holds(streams)).get(id_)
    if hold is None or hold.lifted_at is not None:
        raise BadHold(
            f"expected a hold that is in force, and {id_} is none:"
            " see `concordat evidence legal-hold list`"
        )
    at = _to_millisecond(at)
    body = {"does": "lift", "at": at.isoformat(), "by": by, "reason": reason}
    await _say(streams, id_, body, at=at)
    return replace(hold, lifted_at=at)


async def _say(streams: Streams, id_: str, body: dict[str, Any], *, at: datetime) -> None:
    check_words("who does it", body["by"])
    check_words("the reason", body["reason"])
    await streams.create_topics({HOLDS: 1}, kept=frozenset({HOLDS}))
    value = json.dumps({"id": id_, **body}).encode()
    act = Act(
        ActKind.LEGAL_HOLD,
        at,
        body["by"],
        f"{body['does']} {id_}",
        reason=body["reason"],
        digest=sha256(value).digest(),
    )
    await streams.append([Outgoing(HOLDS, id_.encode(), value), act_record(act)])


def _to_millisecond(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)
