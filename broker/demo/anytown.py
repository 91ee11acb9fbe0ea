"""Anytown's scheme: founded, joined by six organisations, with its agreements signed.

Two of the agreements are there to be refused: one has ended, one only one side
has signed.
"""

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from agreements.model import Agreement
from agreements.reading import read_agreement
from agreements.signatures import Signatory
from broker.administration import (
    PartyDraft,
    add_party,
    found_scheme,
    prepare_streams,
    put_agreement,
    sign_agreement,
)
from broker.demo.agreements import texts
from broker.demo.families import PARTIES, POLICE
from broker.scheme import SchemeFolder
from connectors.streams import Streams
from schemas.errors import ConfigurationError

MARK: Final = ".concordat-demo"
"""Tells a folder that the demo made, and may make anew, from one that somebody works in."""

UNSIGNED: Final = {"missing-pupils.yaml": "anytown-virtual-school"}
"""The party that has not signed yet, by the agreement's file."""

_SIGNATORIES: Final = {
    "anytown-childrens-social-care": ("Director of Children's Services", "DCS"),
    "anytown-adult-social-care": ("Director of Adult Social Services", "DASS"),
    "anytown-housing": ("Senior Information Risk Owner", "SIRO"),
    "anytown-nhs-trust": ("Caldicott Guardian", "CALDICOTT_GUARDIAN"),
    "anyshire-police": ("Assistant Chief Constable", "CHIEF_OFFICER_POLICE"),
    "anytown-virtual-school": ("Senior Information Risk Owner", "SIRO"),
}


class NotADemo(ConfigurationError):
    """The folder has something in it that the demo did not make."""

    code: ClassVar[str] = "not-a-demo"


def found_anytown(folder: Path, *, streams: str) -> SchemeFolder:
    """Make the scheme's folder; one that an earlier demo left is made anew.

    Raises:
        NotADemo: the folder holds something else, which is left as it is.

    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise NotADemo(
                f"{folder} has something in it that the demo did not make:"
                " name an empty folder with --dir"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    # A namespace of its own: on a Kafka cluster, two demos do not meet.
    return found_scheme(folder, name="Anytown", streams=streams, has_own_namespace=True)


async def settle_anytown(scheme: SchemeFolder, streams: Streams) -> None:
    """Let the parties join and sign the agreements."""
    await prepare_streams(scheme, streams)
    agreements = {name: read_agreement(text, name=name) for name, text in texts().items()}
    for party, name in PARTIES.items():
        draft = PartyDraft(
            party,
            name,
            regime="dpa-part-3" if party == POLICE else "uk-gdpr",
            purposes=_purposes(party, agreements.values()),
        )
        await add_party(scheme, streams, draft)
    for name, agreement in agreements.items():
        await put_agreement(scheme, streams, agreement, name=name)
        for role in agreement.parties:
            if UNSIGNED.get(name) != role.id:
                await sign(scheme, streams, agreement, role.id)


async def sign(scheme: SchemeFolder, streams: Streams, agreement: Agreement, party: str) -> None:
    """Accept an agreement for a party of Anytown."""
    await sign_agreement(
        scheme, streams, agreement, party=party, signatory=signatory(party), at=now()
    )


def signatory(party: str) -> Signatory:
    """Return who signs for a party: a post, since nobody in Anytown is real."""
    post, capacity = _SIGNATORIES[party]
    return Signatory(name=f"The {post}", post=post, capacity=capacity)


def now() -> datetime:
    """Return the time, to the millisecond that signatures carry."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _purposes(party: str, agreements: Iterable[Agreement]) -> tuple[str, ...]:
    """The purposes that the scheme has registered a party for: in Anytown, those it needs."""
    found = {
        flow.purpose for agreement in agreements for flow in agreement.flows if party in flow.to
    }
    return tuple(sorted(found))
