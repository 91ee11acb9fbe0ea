"""What a party whose key is in the folder says of an agreement: signed and on record in one go.

What each statement does to an agreement's life is in docs/using/lifecycle.md. A party
whose key is elsewhere signs with ``agreement sign`` and sends the file (`agreement_signing`).
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from broker.cli.agreements import agreement_app
from broker.cli.options import HERE, Dir, Json, print_json, settings_of
from broker.cli.publishing import published, say_published
from broker.cli.signatories import (
    SENIOR,
    Capacity,
    DelegationRef,
    EffectiveAt,
    Name,
    Post,
    moment,
    now,
    signatory,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The agreement's address.")]
AsParty = Annotated[str, typer.Option("--as", help="The party that says it.")]
Reason = Annotated[str, typer.Option(help="Why; it is signed with it.")]
MaybeReason = Annotated[str | None, typer.Option(help="Why; it is signed with it.")]
Number = Annotated[int | None, typer.Option("--version", help="Default: the latest.")]
Wait = Annotated[
    float, typer.Option(help="Seconds to wait until the scheme has signed that it is there.")
]
ReviewBy = Annotated[
    str, typer.Option("--review-by", metavar="TIME", help="When the next review is due.")
]
Held = Annotated[
    Literal["release", "purge"], typer.Option("--held", help="What becomes of what was held.")
]
Lifts = Annotated[
    str | None, typer.Option("--lifts", help="The suspension; default: the party's only one.")
]

_NEEDED: Final[Any] = ...
"""What typer takes as the default of an option that has to be given."""


def register(_: typer.Typer) -> None:
    """Nothing to add: the commands are part of ``concordat agreement``."""


@dataclass(frozen=True, slots=True)
class _Command:
    """What a command says, of what, in whose scheme."""

    kind: str
    agreement_id: str
    party: str
    version: int | None
    folder: Path
    wait: float
    as_json: bool


def _add(kind: str, text: str, *, done: str, needs_reason: bool) -> None:
    """Add the command for a type of statement that takes a reason and a time, and no more."""

    @agreement_app.command(kind, help=text)
    def say(
        agreement_id: Id,
        as_party: AsParty,
        reason: MaybeReason = _NEEDED if needs_reason else None,
        effective_at: EffectiveAt = None,
        version: Number = None,
        name: Name = "",
        post: Post = SENIOR,
        capacity: Capacity = "SIRO",
        delegation_ref: DelegationRef = None,
        wait: Wait = 5.0,
        folder: Dir = HERE,
        as_json: Json = False,
    ) -> None:
        _say(
            _Command(kind, agreement_id, as_party, version, folder, wait, as_json),
            done,
            signatory=signatory(as_party, name, post, capacity, delegation_ref),
            reason=reason,
            effective_at=moment(effective_at, "--effective-at"),
        )


_add("accept", "Accept a version that is on record.", done="accepted by", needs_reason=False)
_add(
    "reject",
    "Say no to a version; also to one accepted before, which may be accepted again.",
    done="rejected by",
    needs_reason=True,
)
_add(
    "revoke",
    "Revoke an agreement for a party: nothing more flows to it or from it. It is final.",
    done="revoked by",
    needs_reason=True,
)
_add(
    "suspend",
    "Suspend an agreement in all its versions: what would flow is held until it is resumed.",
    done="suspended by",
    needs_reason=True,
)
_add(
    "review",
    "Put an agreement under review; it goes on meanwhile.",
    done="put under review by",
    needs_reason=True,
)
_add(
    "consult",
    "Open the consultation of the parties, as the agreement's owner.",
    done="put to consultation by",
    needs_reason=False,
)
_add(
    "assure",
    "Vouch for an agreement's text, as the facilitator that it names.",
    done="assured by",
    needs_reason=False,
)


@agreement_app.command("resume")
def resume(
    agreement_id: Id,
    as_party: AsParty,
    reason: Reason,
    held: Held,
    lifts: Lifts = None,
    effective_at: EffectiveAt = None,
    version: Number = None,
    name: Name = "",
    post: Post = SENIOR,
    capacity: Capacity = "SIRO",
    delegation_ref: DelegationRef = None,
    wait: Wait = 5.0,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Take a suspension of one's own back, and say what becomes of what was held."""
    _say(
        _Command("resume", agreement_id, as_party, version, folder, wait, as_json),
        "resumed by",
        signatory=signatory(as_party, name, post, capacity, delegation_ref),
        reason=reason,
        effective_at=moment(effective_at, "--effective-at"),
        held=held,
        lifts=lifts,
    )


@agreement_app.command("reviewed")
def reviewed(
    agreement_id: Id,
    as_party: AsParty,
    review_by: ReviewBy,
    reason: Annotated[str | None, typer.Option(help="What was found.")] = None,
    version: Number = None,
    name: Name = "",
    post: Post = SENIOR,
    capacity: Capacity = "SIRO",
    delegation_ref: DelegationRef = None,
    wait: Wait = 5.0,
    folder: Dir = HERE,
    as_json: Json = False,
) -> None:
    """Say that a review is done, and when the next is due."""
    _say(
        _Command("reviewed", agreement_id, as_party, version, folder, wait, as_json),
        "reviewed by",
        signatory=signatory(as_party, name, post, capacity, delegation_ref),
        reason=reason,
        review_by=moment(review_by, "--review-by"),
    )


def _say(command: _Command, done: str, **saying: Any) -> None:
    from broker.register import reaching
    from broker.saying import Saying, signature_type
    from broker.scheme import SchemeFolder
    from broker.submitting import Submitted, say

    scheme = SchemeFolder(settings_of(command.folder))
    said = Saying(type=signature_type(command.kind), party=command.party, signed_at=now(), **saying)

    async def work() -> Submitted:
        async with reaching(scheme) as streams:
            submitted = await say(
                scheme, streams, said, agreement_id=command.agreement_id, version=command.version
            )
            return await published(scheme, streams, submitted, seconds=command.wait)

    submitted = asyncio.run(work())
    version = submitted.statement.version
    if command.as_json:
        print_json(
            {
                "agreement": command.agreement_id,
                "version": version,
                "party": command.party,
                "type": command.kind,
                f"{done.replace(' ', '_')}": command.party,
                **submitted.to_json(),
            }
        )
        return
    # What only waits is not done yet, and a reader must not take it for done.
    is_done = "is" if submitted.offset is not None else "is NOT YET"
    typer.echo(f"{command.agreement_id} version {version} {is_done} {done} {command.party}.")
    if command.kind == "suspend":
        typer.echo(f"The suspension is {submitted.id}.")
    say_published(scheme, submitted)
