"""The disclosure schedule for a subject access request: what was shared about one person.

UK GDPR Art 15(1): the purposes, the categories of data, the recipients, how long they keep
it, the source, and the right to complain; of law enforcement, DPA 2018 s. 45. Items are told
by name, since nobody here has the values: whoever answers asks those who hold them. It is a
draft that an officer decides on (`broker.audit.cautions`), by a day (`broker.audit.clocks`).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from agreements.paper.tree import Paper
from broker.audit.cautions import LINKED, Caution, Cautions, cautions
from broker.audit.clocks import AnswerBy
from broker.audit.disclosures import Disclosure
from broker.audit.forms import Asked
from broker.audit.sheets import Sheet, listed
from broker.audit.terms import Terms, basis_json, basis_text


@dataclass(frozen=True, slots=True)
class Shared:
    """One disclosure, with what to look at before it is told."""

    disclosure: Disclosure
    purpose: str
    cautions: Cautions


@dataclass(frozen=True, slots=True)
class Schedule:
    """What was shared about a person, and what was decided on and not shared.

    ``notices`` are of what was taken back. ``found_by`` are the kinds of identifiers that were
    searched for, never the values.
    """

    asked: Asked
    clock: AnswerBy
    today: date
    found_by: tuple[str, ...]
    shared: tuple[Shared, ...]
    notices: tuple[Disclosure, ...]
    refused: tuple[Disclosure, ...]
    terms: Terms

    def to_decide(self) -> dict[Caution, list[Shared]]:
        """Return each rule to look at, with the disclosures that it is about."""
        found: dict[Caution, list[Shared]] = {}
        for one in self.shared:
            for caution in one.cautions:
                found.setdefault(caution, []).append(one)
        return found

    def to_paper(self) -> Paper:
        """Return it for the officer who answers."""
        from broker.audit.schedule_paper import write

        return write(self)

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        clock = self.clock
        return {
            "paper": "disclosure-schedule",
            "asked": self.asked.to_json(),
            "found_by": list(self.found_by),
            "clock": {
                "starts_on": clock.starts_on.isoformat(),
                "one_month": clock.ends_on.isoformat(),
                "three_months": clock.extended_to.isoformat(),
                "extended": clock.is_extended,
                "extension_notice_by": clock.ends_on.isoformat(),
                "due": clock.due.isoformat(),
                "days_left": clock.days_left(self.today),
            },
            "to_decide": [
                {
                    "code": caution.code,
                    "question": caution.question,
                    "rule": caution.rule,
                    "source": caution.source,
                    "event_ids": list(dict.fromkeys(one.disclosure.event_id for one in found)),
                }
                for caution, found in self.to_decide().items()
            ],
            "disclosures": [self._shared_json(one) for one in self.shared],
            "notices": [_notice_json(one) for one in self.notices],
            "not_shared": [_refused_json(one) for one in self.refused],
        }

    def _shared_json(self, shared: Shared) -> dict[str, Any]:
        one = shared.disclosure
        return {
            **_common_json(one),
            "agreement": one.agreement,
            "version": one.version,
            "hash": one.hash,
            "flow": one.flow,
            "purpose": one.purpose,
            "purpose_text": shared.purpose,
            "provider_basis": basis_json(one.provider),
            "recipient_basis": basis_json(one.receiver),
            "items": list(one.items),
            "transforms": dict(one.transforms),
            "withheld": dict(one.withheld),
            "cautions": {caution.code: list(paths) for caution, paths in shared.cautions.items()},
        }

    def to_sheet(self) -> Sheet:
        """Return a row for each disclosure, each notice, and each that was refused."""
        header = (
            "event_id", "time", "outcome", "reason", "from", "to", "agreement", "version", "flow",
            "purpose", "provider_basis", "recipient_basis", "items", "transforms", "withheld",
            "look_at", "log_entry",
        )  # fmt: skip
        rows = [(one.disclosure, one.purpose, one.cautions) for one in self.shared]
        rest = (*self.notices, *self.refused)
        rows += [(one, self.terms.purpose(one), {}) for one in rest]
        return Sheet(
            header,
            (
                (
                    one.event_id, one.decided_at.isoformat(), _outcome(one),
                    self.terms.reason(one) if one.is_notice else one.reason,
                    one.publisher, one.recipient, one.agreement, one.version, one.flow, purpose,
                    basis_text(one.provider), basis_text(one.receiver), listed(one.items),
                    listed(f"{path}: {how}" for path, how in one.transforms.items()),
                    listed(f"{path}: {why}" for path, why in one.withheld.items()),
                    listed(caution.code for caution in found), one.index,
                )
                for one, purpose, found in rows
            ),
        )  # fmt: skip


def schedule(  # noqa: PLR0913  each is what the schedule is made of
    disclosures: Iterable[Disclosure],
    terms: Terms,
    *,
    asked: Asked,
    clock: AnswerBy,
    found_by: Iterable[str],
    given: Collection[bytes] | None = None,
) -> Schedule:
    """Return the schedule of all that was decided about one person, in order of time.

    ``given`` are the blinded identifiers (or what the store has in their place) that were
    asked for: what has none of them was found by another one, and is marked.
    """
    ordered = sorted(disclosures, key=lambda one: (one.decided_at, one.index, one.recipient))
    return Schedule(
        asked=asked,
        clock=clock,
        today=asked.at.date(),
        found_by=tuple(dict.fromkeys(found_by)),
        shared=tuple(
            Shared(one, terms.purpose(one), _cautions(one, terms, given))
            for one in ordered
            if one.is_shared
        ),
        notices=tuple(one for one in ordered if one.is_notice),
        refused=tuple(one for one in ordered if not (one.is_shared or one.is_notice)),
        terms=terms,
    )


def _cautions(one: Disclosure, terms: Terms, given: Collection[bytes] | None) -> Cautions:
    is_linked = given is not None and not any(subject in given for subject in one.subjects)
    return ({LINKED: ()} if is_linked else {}) | cautions(one, terms)


def _common_json(one: Disclosure) -> dict[str, Any]:
    return {
        "event_id": one.event_id,
        "event_type": one.event_type,
        "time": one.decided_at.isoformat(),
        "occurred_at": one.occurred_at.isoformat(),
        "source": one.publisher,
        "recipient": one.recipient,
        "log_entry": one.index,
    }


def _notice_json(one: Disclosure) -> dict[str, Any]:
    return {
        **_refused_json(one),
        "outcome": _outcome(one),
        "retracts": one.detail,
    }


def _outcome(one: Disclosure) -> str:
    """Return the outcome; a notice is none of sharing."""
    return "notice" if one.is_notice and one.outcome == "permit" else one.outcome


def _refused_json(one: Disclosure) -> dict[str, Any]:
    return {
        **_common_json(one),
        "outcome": one.outcome,
        "reason": one.reason,
        "agreement": one.agreement,
        "version": one.version,
        "flow": one.flow,
    }
