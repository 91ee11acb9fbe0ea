"""Take old decisions out of the query store, on record. They stay in the log."""

from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from broker.acts import Act, ActKind, check_act, record_act
from broker.audit.disclosures import gap_to_json
from schemas.errors import RejectedInput

if TYPE_CHECKING:
    from broker.scheme import SchemeFolder
    from connectors.streams import Streams


class NotPast(RejectedInput):
    """What is to be forgotten reaches into the future."""

    code = "not-past"


async def forget_before(  # noqa: PLR0913  who does what, where, when and why
    scheme: "SchemeFolder",
    streams: "Streams",
    *,
    before: datetime,
    by: str,
    reason: str,
    at: datetime,
) -> dict[str, Any]:
    """Take out the whole segments that were decided before a time; tell what is left.

    The act says which entries, and is on record before they go.

    Raises:
        NotPast: the time is after ``at``.
        BadAct: who or why cannot be recorded.
        Overtaken: somebody else takes entries out as well.

    """
    if before > at:
        raise NotPast(f"expected a day that has come: {before:%Y-%m-%d} is after {at:%Y-%m-%d}")
    act = Act(ActKind.ADMINISTRATION, at, by, "the query store is made smaller", reason=reason)
    check_act(act)
    with closing(scheme.open_audit_store()) as store:
        dropped = store.droppable(before)
        if dropped is not None:
            about = (
                f"entries {dropped.first_entry}-{dropped.end_entry - 1} of the log, decided before"
                f" {before:%Y-%m-%d}, are taken out of the query store"
            )
            await record_act(streams, replace(act, about=about, results=dropped.entries))
            store.drop(dropped)
        gone = 0 if dropped is None else dropped.entries
        return {"forgotten": gone, **gap_to_json(store.promise())}
