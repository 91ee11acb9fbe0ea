"""Explain a decision: every check in order, with clause and law, and whether it still comes out.

What was decided is made again from the evidence (`broker.explained`) and compared with the
decision record, field by field.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from broker.acts import record_reading
from broker.evidence.notices import tells_of_notices
from broker.explained import explained, find_decisions
from broker.made_again import Decision
from broker.scheme import SchemeFolder
from broker.status import rules_of
from connectors.streams import Streams
from schemas.errors import RejectedInput


class NoDecision(RejectedInput):
    """There is no decision record of the event."""

    code: ClassVar[str] = "no-decision"


async def explain(
    scheme: SchemeFolder, streams: Streams, event_id: str, *, recipient: str | None = None
) -> dict[str, Any]:
    """Return what was decided about an event and why, and whether deciding again agrees.

    What was held and later settled has a record for each: those that settle are told
    under ``settled``, in order. Who was told that the event takes an earlier one back is
    under ``notices``. ``control_is_whole`` is whether every document that the router knew is
    still there.

    Raises:
        NoDecision: no decision record names the event, or none with that recipient.

    """
    records = await find_decisions(streams, event_id)
    if not records:
        raise NoDecision(await _why_none(scheme, streams, event_id))
    told = [await explained(scheme, streams, record, recipient) for record in records]
    if recipient is not None and not any(one["decisions"] for one in told):
        raise NoDecision(f"the decision on {event_id} names no recipient {recipient}")
    first = records[0].decision
    every = [one["agrees"] for one in told]
    later = [
        (found.decision, one)
        for found, one in zip(records[1:], told[1:], strict=True)
        if one["decisions"]
    ]
    return {
        "event_id": event_id,
        "event_type": first["eventType"],
        "publisher": first["publisher"],
        "occurred_at": first["occurredAt"].isoformat(),
        **told[0],
        "agrees": False if False in every else None if None in every else True,
        "settled": [
            {"suspension": record["settles"]["suspension"], **one}
            for record, one in later
            if not tells_of_notices(record)
        ],
        "notices": [
            {
                "event_type": record["eventType"],
                "retracts": record["candidates"][0]["detail"],
                **one,
            }
            for record, one in later
            if tells_of_notices(record)
        ],
    }


async def explain_on_record(  # noqa: PLR0913  what is asked, and who asks why
    scheme: SchemeFolder,
    streams: Streams,
    event_id: str,
    *,
    by: str,
    reason: str,
    recipient: str | None = None,
) -> dict[str, Any]:
    """Explain as `explain` does, and record that somebody asked before it is answered.

    Raises:
        NoDecision: as `explain`; that nothing was found is recorded as well.
        BadAct: who or why cannot be recorded.

    """
    told, found, refused = {}, 0, None
    try:
        told = await explain(scheme, streams, event_id, recipient=recipient)
        found = sum(len(one["decisions"]) for one in (told, *told["settled"], *told["notices"]))
    except NoDecision as error:
        refused = error
    # What was asked for and is not there may be anything that somebody has typed.
    about = f"explain {event_id}" if found else "explain an event of which no decision is there"
    await record_reading(
        streams, by=by, reason=reason, about=about, results=found, at=datetime.now(UTC)
    )
    if refused is not None:
        raise refused
    return told


async def find_decision(streams: Streams, event_id: str) -> Decision:
    """Return the first decision record of an event.

    Raises:
        NoDecision: there is none.

    """
    found = await find_decisions(streams, event_id)
    if not found:
        raise NoDecision(_NO_DECISION.format(event_id=event_id))
    return found[0].decision


_NO_DECISION: Final = (
    "no decision on event {event_id}: it is not routed yet (`concordat run --until-idle`),"
    " in quarantine, its record has left the stream since (`concordat audit event` asks the"
    " log's store), or the id is mistyped"
)


async def _why_none(scheme: SchemeFolder, streams: Streams, event_id: str) -> str:
    """Say that there is no decision; also that there cannot be one while rules are too old."""
    control = scheme.control()
    await control.load(streams)
    rules = await rules_of(scheme, streams, control)
    why = _NO_DECISION.format(event_id=event_id)
    return why if rules["standing"] == "fresh" else f"{why}; {rules['sentence']}"
