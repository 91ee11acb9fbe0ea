"""Change what the scheme says of a party: its keys, its assurances.

Each change is a new revision of the party's document, which the scheme signs. A key is
announced before it is used, and taken away by itself: what was said with it before it
was retired goes on counting (`agreements.party_keys`).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from agreements.codes import code_list
from broker.administration import keep_party
from broker.keyring import Keyring
from broker.register import PARTIES, NotThere, Register, open_register
from broker.scheme import SchemeFolder
from connectors.streams import Streams, StreamsUnavailable
from schemas.control import Assured, Party, StolenKey
from schemas.errors import RejectedInput
from schemas.keys import SigningKey, VerifyingKey

Change = Callable[[Party], dict[str, Any]]
"""The fields of the document that are different from now on."""


class NoKeyLeft(RejectedInput):
    """Without this key the party could not sign anything any more."""

    code = "no-key-left"


class NoSuchCode(RejectedInput):
    """A code is not in the list that it is from."""

    code = "no-such-code"


async def add_key(
    scheme: SchemeFolder,
    streams: Streams | None,
    party: str,
    public: VerifyingKey | None = None,
    *,
    by: str | None = None,
) -> Party:
    """Give a party another signing key, to be used from now on; the others stay good.

    Without a ``public`` key it is made here, beside the party's others in this folder.

    Raises:
        NotThere: there is no such party.
        StreamsUnavailable: a key must be known before it is used, and cannot be now.

    """
    fresh = SigningKey.generate() if public is None else None
    keys = scheme.party_keys(party) if fresh is not None else None
    told = fresh.public if fresh is not None else public
    assert told is not None  # noqa: S101  one of the two
    if streams is None:
        raise StreamsUnavailable(
            "a new key has to be on control before it is used, and the streams do not answer"
        )

    def change(known: Party) -> dict[str, Any]:
        others = [jwk for jwk in known.signing_keys if jwk.get("kid") != told.kid]
        return {"signing_keys": [told.to_jwk(), *others]}

    revised, is_published = await change_party(scheme, streams, party, change, by=by)
    if not is_published:
        raise StreamsUnavailable(
            "the new key is kept and will be announced, but the streams do not answer: sign"
            " with the old one, and make another when they do"
        )
    if fresh is not None and keys is not None:
        mine = Keyring((fresh, *keys.signing), keys.sealing, keys.secret)
        scheme.party_store(party).save(party, mine.to_jwks())
    return revised


async def retire_key(
    scheme: SchemeFolder,
    streams: Streams | None,
    party: str,
    kid: str,
    *,
    by: str | None = None,
) -> Party:
    """Take a signing key away: nothing new counts under it, what was said before does.

    Raises:
        NotThere: there is no such party, or it has no such key.
        NoKeyLeft: it is the party's only one.

    """

    def change(known: Party) -> dict[str, Any]:
        return {"signing_keys": _without(known, kid)}

    return (await change_party(scheme, streams, party, change, by=by))[0]


async def report_stolen(  # noqa: PLR0913  which key of whom, from when, and who says so
    scheme: SchemeFolder,
    streams: Streams | None,
    party: str,
    kid: str,
    *,
    stolen_from: datetime,
    by: str | None = None,
) -> Party:
    """Report a key stolen from a time on: what was said with it since does not count.

    Raises:
        NotThere: there is no such party, or it never had such a key.
        NoKeyLeft: it is the party's only one: give it another first.

    """

    def change(known: Party) -> dict[str, Any]:
        stolen = StolenKey(kid=kid, stolen_from=stolen_from)
        is_retired = kid not in {jwk.get("kid") for jwk in known.signing_keys}
        keys = list(known.signing_keys) if is_retired else _without(known, kid)
        return {"signing_keys": keys, "stolen_keys": [*known.stolen_keys, stolen]}

    return (await change_party(scheme, streams, party, change, by=by))[0]


async def add_assurance(
    scheme: SchemeFolder,
    streams: Streams | None,
    party: str,
    assured: Assured,
    *,
    by: str | None = None,
) -> Party:
    """Note that a party is assured, such as by a DSPT, from one day to another.

    Raises:
        NotThere: there is no such party.
        NoSuchCode: there is no such assurance.

    """
    known_codes = code_list("assurances")
    if assured.kind not in known_codes:
        raise NoSuchCode(
            f"there is no assurance {assured.kind!r}: expected {', '.join(known_codes)}"
        )

    def change(known: Party) -> dict[str, Any]:
        others = [
            one
            for one in known.assurances
            if (one.kind, one.valid_from) != (assured.kind, assured.valid_from)
        ]
        return {"assurances": [*others, assured]}

    return (await change_party(scheme, streams, party, change, by=by))[0]


async def change_party(
    scheme: SchemeFolder,
    streams: Streams | None,
    party: str,
    change: Change,
    *,
    by: str | None = None,
) -> tuple[Party, bool]:
    """Write a party's next revision; returns it, and whether it is published already.

    Raises:
        NotThere: there is no such party.
        Conflict: somebody else has changed it at the same moment.

    """
    register = await open_register(scheme, streams, about=PARTIES)
    known, expected = _known(register, party)
    if expected[1] != known.revision:
        # Somebody has changed it since ``control`` was read: look at that first.
        register = await open_register(scheme, streams, about=PARTIES)
        known, expected = _known(register, party)
    fields = known.model_dump() | change(known) | {"revision": known.revision + 1}
    revised = Party.model_validate(fields)
    with register.transaction(by) as transaction:
        keep_party(scheme, transaction, revised, expected_revision=expected[0])
    return revised, await register.relay()


def _known(register: Register, party: str) -> tuple[Party, tuple[int, int]]:
    """Return what is known of a party, and its revisions: the store's and the document's."""
    known = register.control.snapshot().rules.parties.get(party)
    if known is None:
        raise NotThere(f"there is no party {party}: see `concordat party list`")
    stored = register.scheme.store.get("party", party)
    if stored is None:
        return known, (0, 0)
    return known, (stored.revision, stored.body.get("revision", 0))


def _without(party: Party, kid: str) -> list[dict[str, str]]:
    keys = [jwk for jwk in party.signing_keys if jwk.get("kid") != kid]
    if len(keys) == len(party.signing_keys):
        raise NotThere(f"{party.id} has no key {kid}: see `concordat key list {party.id}`")
    if not keys:
        raise NoKeyLeft(
            f"{kid} is the only key of {party.id}: give it another first,"
            f" with `concordat key rotate {party.id}`"
        )
    return keys
