"""From one agreement, its signatures and the parties' documents to its candidates."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from agreements.candidates import NEVER_US, Candidate, Periods, Suspended, Views, midnight_us
from agreements.checking import ALL_TESTS, with_open_tests
from agreements.law import flow_faults
from agreements.model import Agreement, Flow
from agreements.signed import Narrowings, Version, Window, windows
from schemas.catalogue import Catalogue
from schemas.control import Party

if TYPE_CHECKING:
    from agreements.documents import Documents

_NO_LAST_REVISION: Final = 2**31
_DUPLICATE_ITEM: Final = "duplicate-item"
_DIRECTION: Final = "direction"
_DAY_US: Final = timedelta(days=1) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate and the moment from which it is the version to look at."""

    candidate: Candidate
    from_us: int


class FlowCompiler:
    """Makes candidates; what the law says of a text is worked out once."""

    def __init__(
        self, catalogue: Catalogue, views: Views, pseudonym_key: Callable[[str], bytes]
    ) -> None:
        self._catalogue = catalogue
        self._views = views
        self._pseudonym_key = pseudonym_key
        self._faults: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._narrows = Narrowings(catalogue)
        self._made: dict[str, tuple[list[Version], list[Placed]]] = {}

    def candidates(self, agreement: str, documents: "Documents") -> list[Placed]:
        """Return the candidates of every version of an agreement that matters."""
        versions = documents.versions(agreement)
        before = self._made.get(agreement)
        if before is not None and before[0] is versions:
            # Nobody said anything new: only what the scheme says of the parties can differ.
            placed = [_refreshed(one, documents) for one in before[1]]
        else:
            placed = self._from_versions(versions, documents)
        self._made[agreement] = (versions, placed)
        return list(placed)

    def _from_versions(self, versions: list[Version], documents: "Documents") -> list[Placed]:
        pairs: dict[tuple[str, str], list[Window]] = {}
        found: list[Placed] = []
        for version in versions:
            if version.agreement is None:
                continue
            suspensions = tuple(s for s in version.suspensions() if s.from_us < s.until_us)
            for number, flow in enumerate(version.agreement.flows):
                for publisher, recipient in _pairs(flow):
                    pair = (publisher, recipient)
                    if pair not in pairs:
                        pairs[pair] = windows(versions, publisher, recipient, narrows=self._narrows)
                    for window in pairs[pair]:
                        if window.version is version:
                            found += self._placed(window, number, suspensions, documents)
        return found

    def _placed(
        self,
        window: Window,
        number: int,
        suspensions: tuple[Suspended, ...],
        documents: "Documents",
    ) -> Iterator[Placed]:
        version, agreement = window.version, window.version.agreement
        assert agreement is not None  # noqa: S101  for the type checker: the caller skips those
        flow = agreement.flows[number]
        publisher, recipient = pair = window.pair
        accepted = {party: window.accepted_from_us(party) for party in pair}
        revoked = [(party, window.revoked_from_us(party)) for party in pair]
        starts_at_us, ends_at_us = window.runs_us
        purpose = next((p for p in agreement.purposes if p.code == flow.purpose), None)
        for event_type in dict.fromkeys(flow.events):
            candidate = Candidate(
                publisher=publisher,
                recipient=recipient,
                event_type=event_type,
                agreement=agreement,
                sha256=version.sha256,
                flow=flow,
                signed_from_us=max(accepted.values()),
                superseded_from_us=window.until_us,
                starts_at_us=starts_at_us,
                ends_at_us=ends_at_us,
                max_age_us=_max_age_us(flow),
                unsigned=tuple(p for p, since in accepted.items() if since == NEVER_US),
                inherited=tuple(p for p in pair if window.is_inherited(p)),
                revocations=tuple(one for one in revoked if one[1] < NEVER_US),
                revoked_from_us=min(since for _, since in revoked),
                suspensions=suspensions,
                incomplete=self._incomplete(agreement, version.sha256)[number]
                + _out_of_place(agreement, publisher, recipient),
                is_beyond_individual_care=purpose is None or purpose.beyond_individual_care,
                relies_on_consent=flow.relies_on_consent,
                first_revision=flow.schemas.min,
                last_revision=_NO_LAST_REVISION if flow.schemas.max is None else flow.schemas.max,
                objections=documents.objections,
                tests=ALL_TESTS,
                pseudonym_key=self._pseudonym_key(recipient),
                views=self._views,
                **_as_the_scheme_says(publisher, recipient, flow, documents),
            )
            yield Placed(with_open_tests(candidate), window.from_us)

    def _incomplete(self, agreement: Agreement, sha256: str) -> tuple[tuple[str, ...], ...]:
        """Return what each flow's legal bases lack; worked out once for a text."""
        if sha256 not in self._faults:
            self._faults[sha256] = tuple(
                tuple(
                    dict.fromkeys(
                        [fault.code for fault in flow_faults(agreement, flow, self._catalogue)]
                        + _duplicates(flow)
                    )
                )
                for flow in agreement.flows
            )
        return self._faults[sha256]


def _as_the_scheme_says(
    publisher: str, recipient: str, flow: Flow, documents: "Documents"
) -> dict[str, Any]:
    """Return who may not take part, and what the recipient holds: the purpose, assurances."""
    inactive = tuple(
        party
        for party, role in ((publisher, "publisher"), (recipient, "recipient"))
        if not documents.may_take_part(party, role)
    )
    receiving = documents.party(recipient)
    return {
        "inactive": inactive,
        "is_purpose_held": receiving is not None and flow.purpose in receiving.purposes,
        "assurances": tuple((kind, assured_periods(receiving, kind)) for kind in flow.requires),
    }


def assured_periods(party: Party | None, kind: str) -> Periods:
    """Return when a party holds an assurance: whole days, the last one included."""
    held = () if party is None else party.assurances
    return tuple(
        (midnight_us(one.valid_from), midnight_us(one.valid_until) + _DAY_US)
        for one in held
        if one.kind == kind
    )


def _refreshed(placed: Placed, documents: "Documents") -> Placed:
    """Return a candidate as the parties' newest documents make it."""
    one = placed.candidate
    changed = replace(one, **_as_the_scheme_says(one.publisher, one.recipient, one.flow, documents))
    return Placed(with_open_tests(changed), placed.from_us)


def _pairs(flow: Flow) -> Iterator[tuple[str, str]]:
    # Several parties may share with each other in one flow; none of them is sent its own.
    for publisher in dict.fromkeys(flow.from_):
        for recipient in dict.fromkeys(flow.to):
            if publisher != recipient:
                yield publisher, recipient


def _duplicates(flow: Flow) -> list[str]:
    # An item listed twice could be listed with and without its transform.
    paths = [item.path for item in flow.items]
    return [_DUPLICATE_ITEM] if len(set(paths)) < len(paths) else []


def _out_of_place(agreement: Agreement, publisher: str, recipient: str) -> tuple[str, ...]:
    """A party that is none of the agreement's, or on the wrong side of the flow."""
    parties = {party.id: party for party in agreement.parties}
    is_right = (
        publisher in parties
        and recipient in parties
        and parties[publisher].may_provide
        and parties[recipient].may_receive
    )
    return () if is_right else (_DIRECTION,)


def _max_age_us(flow: Flow) -> int:
    oldest = flow.oldest
    return NEVER_US if oldest is None else oldest // timedelta(microseconds=1)
