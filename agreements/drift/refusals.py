"""Refusals that suggest that an agreement is missing, unsigned, over or out of date."""

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Final

from agreements.candidates import Candidate, from_us
from agreements.drift.finding import Finding, counted
from agreements.drift.traffic import Refused, Traffic, Way, Why
from agreements.words import day


def refusals(traffic: Traffic, live: Mapping[Way, Candidate]) -> Iterator[Finding]:
    """Tell of refusals that somebody can do something about and nobody has yet."""
    told = sorted(
        ((way, version, why, refused) for (way, version), one in traffic.ways.items()
         for why, refused in one.refused.items() if why.reason in _REFUSALS),
        key=lambda one: (one[0], one[2]),
    )  # fmt: skip
    for (way, why), group in groupby(told, key=lambda one: (one[0], one[2])):
        versions = list(group)
        now = live.get(way)
        if now is not None and _MENDED.get(why.reason, _not)(now, why):
            continue
        last = max(versions, key=lambda one: one[3].last_ms)
        events = sum(refused.events.events for *_, refused in versions)
        code, sentence, remedy = _REFUSALS[why.reason]
        names = way._asdict() | {"detail": why.detail or "nobody named"}
        yield Finding(
            code,
            f"{counted(events)} of {way.event_type} from {way.publisher} did not reach"
            f" {way.recipient} (flow {way.flow}): {sentence.format(**names)}; the last on"
            f" {day(from_us(last[3].last_ms * 1000))}.",
            remedy.format(**names),
            events=events,
            examples=tuple(last[3].events.ids),
            agreement=way.agreement,
            version=last[1],
            flow=way.flow,
            publisher=way.publisher,
            event_type=way.event_type,
            recipient=way.recipient,
            place=why.detail,
        )


_REFUSALS: Final[dict[str, tuple[str, str, str]]] = {
    "not-signed": (
        "waits-for-signatures",
        "the agreement waits for the signature of {detail}",
        "remind {detail} to sign, or withdraw the text if it is not wanted",
    ),
    "expired": (
        "sent-after-the-end",
        "the agreement has ended",
        "agree on a new version if {recipient} still needs them; if not, nothing is amiss",
    ),
    "purpose-not-held": (
        "purpose-not-held",
        "the scheme has not registered the recipient for the purpose {detail}",
        "have the scheme register {recipient} for {detail}, or take the flow out",
    ),
    "schema-not-covered": (
        "schema-not-covered",
        "revision {detail} of the event's schema is not one that the flow covers",
        "look at what the revision adds and agree on a version whose `schemas` cover it",
    ),
    "legal-basis-incomplete": (
        "legal-basis-incomplete",
        "its legal bases lack something ({detail})",
        "complete them in a new version: `concordat agreement validate` says what is missing",
    ),
    "assurance-lapsed": (
        "assurance-lapsed",
        "the recipient did not hold what the flow requires ({detail})",
        "have {recipient} renew it and the scheme record it",
    ),
    "party-suspended": (
        "party-may-not-take-part",
        "the scheme does not let {detail} take part",
        "have the scheme lift that, or let the flow end with a new version",
    ),
    "too-old": (
        "sent-too-late",
        "they were older than the flow allows ({detail})",
        "ask {publisher} why they come late, or agree on a longer `max_age`",
    ),
}  # fmt: skip
"""By reason: the finding's code, why nothing was shared, and what to do."""


def _not(_candidate: Candidate, _why: Why) -> bool:
    return False


_MENDED: Final[dict[str, Callable[[Candidate, Why], bool]]] = {
    "not-signed": lambda _candidate, _why: True,  # what is live is signed
    "expired": lambda _candidate, _why: True,
    "purpose-not-held": lambda candidate, _why: candidate.is_purpose_held,
    "schema-not-covered": lambda candidate, why: (
        candidate.first_revision <= int(why.detail) <= candidate.last_revision
    ),
    "legal-basis-incomplete": lambda candidate, _why: not candidate.incomplete,
    "party-suspended": lambda candidate, _why: not candidate.inactive,
}
"""By reason: whether what is in force now would refuse for it no longer."""


def uncovered(traffic: Traffic) -> Iterator[Finding]:
    """Tell of events that no agreement has a flow for."""
    for (publisher, event_type), kind in sorted(traffic.types.items()):
        if kind.nobody.events.events:
            yield _nobody(publisher, event_type, kind.nobody)


def _nobody(publisher: str, event_type: str, told: Refused) -> Finding:
    return Finding(
        "no-agreement",
        f"{counted(told.events.events)} of {event_type} from {publisher} reached nobody: no"
        f" agreement had a flow for them; the last on {day(from_us(told.last_ms * 1000))}.",
        "if somebody needs them, draft an agreement and try it with `concordat agreement"
        f" simulate`; if nobody does, {publisher} need not publish them",
        events=told.events.events,
        examples=tuple(told.events.ids),
        publisher=publisher,
        event_type=event_type,
    )
