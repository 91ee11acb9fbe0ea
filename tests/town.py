"""A town of two organisations and one agreement, for tests of what happens to a scheme."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agreements.canonical import to_document
from agreements.model import Agreement
from agreements.reading import from_document, read_agreement
from agreements.signatures import Signatory, SignatureType
from broker.administration import (
    PartyDraft,
    add_party,
    found_scheme,
    prepare_streams,
    put_agreement,
    sign_agreement,
)
from broker.edge import publisher_of, receive_all
from broker.scheme import SchemeFolder
from connectors.prepared import PreparedEvent
from connectors.streams import Streams

TOUR = Path(__file__).parents[1] / "docs" / "using" / "tour" / "placements.yaml"
COUNCIL, SCHOOL = "anytown-council", "anytown-virtual-school"
PURPOSE = "promote-looked-after-education"
WHO = Signatory(name="Somebody", post="SIRO", capacity="SIRO")


@dataclass
class Town:
    """A scheme with a council, a school and the tour's agreement."""

    scheme: SchemeFolder
    streams: Streams
    numbers: int = 0

    async def agree(self, agreement: Agreement) -> None:
        """Put an agreement and sign it for both."""
        await put_agreement(self.scheme, self.streams, agreement, name="agreement")
        for party in (COUNCIL, SCHOOL):
            await self.sign(agreement, party)

    async def sign(
        self, agreement: Agreement, party: str, kind: SignatureType = SignatureType.ACCEPT
    ) -> None:
        """Say something of an agreement for a party."""
        await sign_agreement(
            self.scheme,
            self.streams,
            agreement,
            party=party,
            signatory=WHO,
            at=now(),
            kind=kind,
            reason=None if kind is SignatureType.ACCEPT else "The test's own",
        )

    async def publish(self, count: int = 1, *, party: str = COUNCIL) -> None:
        """Publish placements that nobody has published before."""
        publisher = await publisher_of(self.scheme, self.streams, party)
        first, self.numbers = self.numbers, self.numbers + count
        await publisher.publish(a_placement(number) for number in range(first, self.numbers))

    async def route(self) -> dict[str, int]:
        """Route until nothing is left; returns what was counted."""
        service = self.scheme.service(self.streams)
        await service.run(until_idle=True)
        return dict(service.tally)

    async def receive(self) -> tuple[int, int]:
        """Receive at the school: how many opened, and how many did not."""
        return await receive_all(
            self.scheme, self.streams, party=SCHOOL, folder=self.scheme.path / "received"
        )


def now() -> datetime:
    """Return the time, to the millisecond that a signature carries."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def a_placement(number: int) -> PreparedEvent:
    """Return a placement of a child with a valid UPN."""
    record = {
        "childId": f"C-{number}",
        "upn": "G330200112001",
        "sex": "1",
        "decom": "2026-11-02",
        "rne": "S",
        "legalStatus": "C2",
        "cin": "N1",
        "placementType": "U6",
        "localAuthority": "E09000033",
        "addressConfidential": False,
    }
    return PreparedEvent(
        "uk.gov.csc.cla-placement.v1", f"C-{number}", record, datetime(2026, 11, 2, tzinfo=UTC)
    )


def the_agreement(**changes: Any) -> Agreement:
    """Return the tour's agreement, with changes."""
    agreement = read_agreement(TOUR.read_bytes(), name=TOUR.name)
    return from_document({**to_document(agreement), **changes})


def version_two() -> Agreement:
    """Return a second version that shares one item more."""
    document = to_document(the_agreement(version=2))
    document["flows"][0]["items"].append({"path": "sex"})
    return from_document(document)


@contextlib.asynccontextmanager
async def found_town(folder: Path, *, streams: str = "sqlite:streams.db") -> AsyncIterator[Town]:
    """Found a scheme, by default on the embedded streams, with both organisations in it."""
    scheme = found_scheme(folder, name="Anytown", streams=streams, has_own_namespace=True)
    async with scheme.streams() as opened:
        await prepare_streams(scheme, opened)
        await add_party(scheme, opened, PartyDraft(COUNCIL, "Council"))
        await add_party(scheme, opened, PartyDraft(SCHOOL, "School", purposes=(PURPOSE,)))
        yield Town(scheme, opened)


async def share_placements(folder: Path, number: int) -> None:
    """Make a scheme in a folder in which so many placements were shared with the school."""
    async with found_town(folder) as town:
        await town.agree(the_agreement())
        await town.publish(number)
        await town.route()
