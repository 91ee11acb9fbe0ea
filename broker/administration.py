"""What an operator and an IG officer do to a scheme: found it, add parties, put agreements.

The command line calls these functions now, the console and the API will later.
Each change is one transaction in the store, and from there on ``control`` (`register`).
"""

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from agreements.candidates import views_of
from agreements.canonical import canonical_form, digest, to_document
from agreements.law import validate
from agreements.model import Agreement
from agreements.problems import AgreementInvalid
from agreements.signatures import Signatory, SignatureType
from agreements.together import clashes
from broker.accepted import TOPIC as ACCEPTED
from broker.acts import Act, ActKind, officer, record_act
from broker.control import TOPIC as CONTROL
from broker.evidence.following import CHECKPOINTS
from broker.evidence.keys import LogKeys
from broker.holding import HELD
from broker.issuing import prepare_topic
from broker.keyring import Keyring
from broker.register import PARTIES, AlreadyThere, open_register
from broker.retraction import RETRACTIONS
from broker.routing import DECISIONS, DELIVERIES, EVENTS, QUARANTINE, REVIEW
from broker.saying import Saying
from broker.schemas_on_control import missing_schemas
from broker.scheme import SCHEME, SchemeFolder
from broker.settings import FILE_NAME, read_settings
from broker.storage import Transaction
from broker.submitting import submit
from connectors.streams import Streams, StreamsUnavailable
from schemas.control import BROKER, Kind, Party, document_key, sign_document
from schemas.counting import COUNTS
from schemas.keys import SigningKey

KEPT: Final = frozenset({CONTROL, DECISIONS, ACCEPTED, CHECKPOINTS, HELD, RETRACTIONS, COUNTS})
"""Topics of which every record is kept for ever: evidence, what it rests on, and what waits
for longer than a cluster may keep records by default."""


@dataclass(frozen=True, slots=True)
class PartyDraft:
    """What is told of an organisation when it joins; its keys are made or brought along."""

    id: str
    name: str
    regime: str = "uk-gdpr"
    roles: tuple[str, ...] = ("publisher", "recipient")
    purposes: tuple[str, ...] = ()
    schema_numbers: Mapping[str, str] = field(default_factory=dict)
    """Numbers of its schema registry, to fingerprints in hexadecimal."""


def found_scheme(
    folder: Path, *, name: str, streams: str, has_own_namespace: bool = False
) -> SchemeFolder:
    """Write a new scheme's settings and keys into ``folder``; no streams are touched.

    With a namespace of its own, several schemes share one Kafka cluster: its topics
    and groups all begin with a name that no other scheme has.

    Raises:
        AlreadyThere: the folder has a scheme.

    """
    file = folder / FILE_NAME
    if file.exists():
        raise AlreadyThere(f"{file} exists: this folder has a scheme already")
    folder.mkdir(parents=True, exist_ok=True)
    key = SigningKey.generate()
    jwk = ", ".join(f"{part} = {json.dumps(text)}" for part, text in key.public.to_jwk().items())
    namespace = f"scheme-{secrets.token_hex(4)}" if has_own_namespace else ""
    file.write_text(
        f"# A Concordat scheme. CONCORDAT_STREAMS and so on override what stands here.\n"
        f"streams = {json.dumps(streams)}\n"
        f"namespace = {json.dumps(namespace)}\n\n"
        f"[scheme]\nname = {json.dumps(name)}\n"
        f"# Pinned: parties are trusted because this key signed them.\nkey = {{ {jwk} }}\n",
        encoding="utf-8",
    )
    scheme = SchemeFolder(read_settings(folder, {}))
    scheme.key_store.save(SCHEME, [key.to_private_jwk()])
    scheme.key_store.save(BROKER, Keyring.generate().to_jwks())
    LogKeys.generate().save(scheme.key_store)
    return scheme


async def prepare_streams(scheme: SchemeFolder, streams: Streams) -> None:
    """Create the topics that every scheme has, and say who the broker is."""
    partitions = scheme.settings.partitions
    topics = (REVIEW, HELD, QUARANTINE, CHECKPOINTS, ACCEPTED)
    # What is told in one order has one partition: the rules, and the evidence.
    one = dict.fromkeys((CONTROL, DECISIONS, RETRACTIONS, COUNTS), 1)
    await streams.create_topics({**one, **dict.fromkeys(topics, partitions)}, kept=KEPT)
    await prepare_topic(streams)
    register = await open_register(scheme, streams, about=PARTIES)
    draft = PartyDraft(BROKER, scheme.settings.scheme.name, roles=("broker",))
    if BROKER not in register.control.snapshot().rules.parties:
        with register.transaction() as transaction:
            keep_party(scheme, transaction, _party(draft, scheme.broker_keys), expected_revision=0)
        about = f"scheme founded, its key is {scheme.scheme_key.kid}"
        at = datetime.now(UTC)
        await record_act(streams, Act(ActKind.ADMINISTRATION, at, officer(), about))
    await register.relay()


async def add_party(
    scheme: SchemeFolder, streams: Streams | None, draft: PartyDraft, *, by: str | None = None
) -> Party:
    """Make keys for an organisation, have the scheme vouch for it, create its topics.

    Where the streams are away its topics are made by the router that hears of it.

    Raises:
        AlreadyThere: there is a party of that id, or it is the scheme's own name.

    """
    register = await open_register(scheme, streams, about=PARTIES)
    if draft.id == SCHEME or draft.id in register.control.snapshot().rules.parties:
        raise AlreadyThere(f"party {draft.id} is in the scheme already")
    keys = Keyring.generate()
    party = _party(draft, keys)
    if register.streams is not None:
        await _create_topics(scheme, register.streams, draft)
    with register.transaction(by) as transaction:
        keep_party(scheme, transaction, party, expected_revision=0)
        # Before the commit: a party without its keys would be of no use to anybody.
        scheme.party_store(draft.id).save(draft.id, keys.to_jwks())
    await register.relay()
    return party


async def put_agreement(
    scheme: SchemeFolder,
    streams: Streams | None,
    agreement: Agreement,
    *,
    name: str,
    by: str | None = None,
) -> str:
    """Put a valid agreement into the register, with the schemas of the views that it gives.

    Returns the SHA-256 of its canonical form, which the parties sign.

    Raises:
        AgreementInvalid: it breaks a rule of law, names what does not exist, or supersedes
            what supersedes it.
        AlreadyThere: this version exists with another text.

    """
    problems = [p for p in validate(agreement, scheme.catalogue) if p.severity == "error"]
    if problems:
        raise AgreementInvalid(name, problems)
    # A text that supersedes none closes no circle: then the others need not be looked at.
    about = agreement.id if agreement.supersedes is None else None
    register = await open_register(scheme, streams, about=about)
    sha256 = digest(agreement)
    place = (agreement.id, agreement.version)
    texts = {
        version.sha256
        for version in register.control.versions()
        if version.agreement is not None and (version.agreement.id, version.number) == place
    }
    if texts - {sha256}:
        raise AlreadyThere(
            f"version {agreement.version} of {agreement.id} exists with another text:"
            f" a change is a new version, so write version {agreement.version + 1}"
        )
    known = [(v.agreement.id, v.agreement) for v in register.control.versions() if v.agreement]
    if circles := [p for of, p in clashes([(name, agreement), *known]) if of == name]:
        raise AgreementInvalid(name, circles)
    schemas = missing_schemas(views_of(agreement, scheme.catalogue), register.control.documents)
    with register.transaction(by) as transaction:
        if not texts:
            transaction.put("agreement", *place, to_document(agreement), expected_revision=0)
        for schema in schemas:
            transaction.publish(schema.key or b"", schema.value or b"")
        if not texts:
            key = document_key(Kind.AGREEMENT, *place)
            transaction.publish(key, canonical_form(agreement))
    await register.relay()
    return sha256


async def find_agreement(
    scheme: SchemeFolder, streams: Streams | None, agreement_id: str, version: int | None
) -> Agreement:
    """Return an agreement of the scheme; without a version the latest.

    Raises:
        NotThere: there is none.

    """
    register = await open_register(scheme, streams, about=agreement_id)
    found = register.version(agreement_id, version).agreement
    assert found is not None  # noqa: S101  a version that is found has its text
    return found


async def standings(scheme: SchemeFolder, streams: Streams | None) -> list[dict[str, Any]]:
    """Return each agreement with where its parties stand, by id and version."""
    register = await open_register(scheme, streams)
    return [
        {
            "agreement": version.agreement.id,
            "version": version.number,
            "title": version.agreement.title,
            "sha256": version.sha256,
            "standing": {
                party.id: version.standing_of(party.id).value for party in version.agreement.parties
            },
        }
        for version in register.control.versions()
        if version.agreement is not None
    ]


async def sign_agreement(  # noqa: PLR0913  who says what of which text, and when
    scheme: SchemeFolder,
    streams: Streams | None,
    agreement: Agreement,
    *,
    party: str,
    signatory: Signatory,
    at: datetime,
    kind: SignatureType = SignatureType.ACCEPT,
    reason: str | None = None,
) -> str:
    """Sign with a party's key that lies in this folder; returns the SHA-256 that was signed.

    Raises:
        NoSay: the party is no party of the agreement.
        KeysUnavailable: its keys are not in this folder.

    """
    saying = Saying(kind, party, signatory, at, reason=reason)
    token = saying.sign(agreement, scheme.party_keys(party).signing[0])
    await submit(scheme, streams, token, by=signatory.name)
    return digest(agreement)


def keep_party(
    scheme: SchemeFolder, transaction: Transaction, party: Party, *, expected_revision: int
) -> None:
    """Put what is said of a party into the store, and have it published with the scheme's word."""
    body = party.model_dump(mode="json")
    transaction.put("party", party.id, 1, body, expected_revision=expected_revision)
    token = sign_document(scheme.scheme_signing_key(), body)
    key = document_key(Kind.PARTY, party.id, party.revision)
    transaction.publish(key, json.dumps({"jws": token}).encode())


async def _create_topics(scheme: SchemeFolder, streams: Streams, draft: PartyDraft) -> None:
    partitions = scheme.settings.partitions
    topics = {EVENTS + draft.id: partitions} if "publisher" in draft.roles else {}
    if "recipient" in draft.roles:
        topics[DELIVERIES + draft.id] = partitions
    with contextlib.suppress(StreamsUnavailable):  # the router that hears of it makes them
        await streams.create_topics(topics)


def _party(draft: PartyDraft, keys: Keyring) -> Party:
    return Party.model_validate(
        {
            "id": draft.id,
            "name": draft.name,
            "regime": draft.regime,
            "roles": draft.roles,
            "purposes": draft.purposes,
            "schema_numbers": dict(draft.schema_numbers),
            "signing_keys": [key.public.to_jwk() for key in keys.signing],
            "sealing_keys": [key.public.to_jwk() for key in keys.sealing],
        }
    )
