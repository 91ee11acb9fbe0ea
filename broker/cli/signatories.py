"""Who signs, when it counts and why: options that several commands take in the same words."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import WrongUse

if TYPE_CHECKING:
    from agreements.signatures import Signatory

Name = Annotated[str, typer.Option("--name", help="Who signs.")]
Post = Annotated[str, typer.Option("--post", help="Their post.")]
Capacity = Annotated[
    str, typer.Option("--capacity", help="What entitles them, such as SIRO or CALDICOTT_GUARDIAN.")
]
DelegationRef = Annotated[
    str | None,
    typer.Option("--delegation-ref", help="The delegation that a DELEGATE signs under."),
]
EffectiveAt = Annotated[
    str | None,
    typer.Option("--effective-at", metavar="TIME", help="From when, such as 2027-01-01T00:00:00Z."),
]

SENIOR = "Senior Information Risk Owner"


def signatory(party: str, name: str, post: str, capacity: str, ref: str | None) -> "Signatory":
    """Return who signs for a party."""
    from agreements.signatures import Signatory

    more = {} if ref is None else {"delegation_ref": ref}
    return Signatory(name=name or f"Signatory of {party}", post=post, capacity=capacity, **more)


def now() -> datetime:
    """Return the time, to the millisecond that a statement carries."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def moment(text: str | None, option: str) -> datetime | None:
    """Read an option that is a time with its zone.

    Raises:
        WrongUse: it is none, or its zone is missing.

    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise WrongUse(
            f"{option}: expected a date, a time and its zone, such as 2027-01-01T00:00:00Z"
        )
    return found.astimezone(UTC).replace(microsecond=found.microsecond // 1000 * 1000)
