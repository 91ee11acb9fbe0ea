"""What has happened in Anytown: who tells of it, when, and drawn from which dice."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from broker.demo.people import Address, Town
from connectors.prepared import PreparedEvent

CHILDREN = "anytown-childrens-social-care"
ADULTS = "anytown-adult-social-care"
HOUSING = "anytown-housing"
TRUST = "anytown-nhs-trust"
POLICE = "anyshire-police"
SCHOOL = "anytown-virtual-school"


class Chronicle:
    """Collects events; everything drawn by chance in it comes from one seeded generator."""

    def __init__(self, random: Random, town: Town, now: datetime) -> None:
        self.random = random
        self.town = town
        self.now = now
        self.events: list[tuple[str, PreparedEvent]] = []
        self._references = 0

    def tell(  # noqa: PLR0913  what an event is made of, by name
        self,
        publisher: str,
        event_type: str,
        record: Mapping[str, Any],
        *,
        key: str,
        at: datetime,
        case: str | None = None,
        step: int | None = None,
        retracts: PreparedEvent | None = None,
    ) -> PreparedEvent:
        """Add an event; ``case`` correlates those that belong together, ``step`` orders them."""
        event = PreparedEvent(
            event_type=event_type,
            natural_key=key,
            record=record,
            occurred_at=at,
            correlation_id=case,
            sequence=None if step is None else str(step),
            retracts=retracts,
            classification="OFFICIAL-SENSITIVE",
        )
        self.events.append((publisher, event))
        return event

    def chance(self, share: float) -> bool:
        """Tell whether something happens that happens in ``share`` of the cases."""
        return self.random.random() < share

    def case(self) -> str:
        """Invent the id of a case: random, so that it says nothing about the person."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def reference(self, prefix: str) -> str:
        """Invent an organisation's own reference, no number twice."""
        self._references += 1
        return f"{prefix}{self._references:06d}"

    def ago(self, longest: timedelta, shortest: timedelta = timedelta(minutes=5)) -> datetime:
        """Pick a time between ``longest`` and ``shortest`` ago, to the second."""
        seconds = self.random.uniform(shortest.total_seconds(), longest.total_seconds())
        return (self.now - timedelta(seconds=seconds)).replace(microsecond=0)

    def days(self, count: int, *, within: int) -> list[datetime]:
        """Pick times on ``count`` different days of the last ``within``, the earliest first."""
        back = sorted(self.random.sample(range(1, within), count), reverse=True)
        noon = self.now.replace(minute=0, second=0, microsecond=0)
        return [noon - timedelta(days=days, minutes=self.random.randrange(600)) for days in back]

    def telephone(self) -> str:
        """Invent a number of the range that Ofcom keeps for drama."""
        return f"01632 960{self.random.randrange(1000):03d}"


def address_record(address: Address) -> dict[str, Any]:
    """Return an address as the event types have it."""
    return {
        "lines": [*address.lines, address.town],
        "postcode": address.postcode,
        "uprn": address.uprn,
    }


def days_before(day: date, days: int) -> date:
    """Return the day that many days earlier."""
    return day - timedelta(days=days)
