"""What an operator and an IG officer do to a scheme: found it, add parties, put agreements.

The command line calls these functions now, the console and the API will later.
Each change is one or more documents on ``control``, appended together.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from agreements.candidates import views_of
from agreements.canonical import canonical_form, digest
from agreements.law import validate
from agreements.model import Agreement
from agreements.problems import AgreementInvalid
from agreements.signatures import Signatory, SignatureType, Subject
from agreements.signatures import sign_statement as sign
from broker.accepted import TOPIC as ACCEPTED
from broker.control import TOPIC as CONTROL
from broker.control import ControlState
from broker.issuing import prepare_topic
from broker.keyring import Keyring
from broker.routing import DECISIONS, DELIVERIES, EVENTS, QUARANTINE, REVIEW
from broker.schemas_on_control import missing_schemas
from broker.scheme import SCHEME, SchemeFolder
from broker.settings import FILE_NAME, read_settings
from connectors.streams import Outgoing, Streams
from schemas.control import BROKER, Kind, Party, document_key, sign_document
from schemas.errors import ConfigurationError, RejectedInput
from schemas.keys import SigningKey

HELD: Final = "held"
CHECKPOINTS: Final = "checkpoints"
KEPT: Final = frozenset({CONTROL, DECISIONS, ACCEPTED, CHECKPOINTS})
"""Topics of which every record is kept for ever: evidence, and what it rests on."""


class AlreadyThere(ConfigurationError):
    """What should be made exists; nothing was changed."""

    code: ClassVar[str] = "already-there"


class NotThere(RejectedInput):
    """What is named does not exist."""

    code: ClassVar[str] = "not-there"


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
    return scheme


async def prepare_streams(scheme: SchemeFolder, streams: Streams) -> None:
    """Create the topics that every scheme has, and say who the broker is."""
    partitions = scheme.settings.partitions
    topics = (DECISIONS, REVIEW, HELD, QUARANTINE, CHECKPOINTS, ACCEPTED)
    await streams.create_topics({CONTROL: 1, **dict.fromkeys(topics, partitions)}, kept=KEPT)
    await prepare_topic(streams)
    draft = PartyDraft(BROKER, scheme.settings.scheme.name, roles=("broker",))
    await streams.append([_party_document(scheme, draft, scheme.broker_keys)])
    if scheme.issuer is not None:
        await scheme.issuer.issue(streams)


async def add_party(scheme: SchemeFolder, streams: Streams, draft: PartyDraft) -> Party:
    """Make keys for an organisation, have the scheme vouch for it, create its topics.

    Raises:
        AlreadyThere: there is a party of that id, or it is the scheme's own name.

    """
    control = await _control(scheme, streams)
    if draft.id == SCHEME or draft.id in control.snapshot().rules.parties:
        raise AlreadyThere(f"party {draft.id} is in the scheme already")
    keys = Keyring.generate()
    document = _party_document(scheme, draft, keys)
    partitions = scheme.settings.partitions
    topics = {EVENTS + draft.id: partitions} if "publisher" in draft.roles else {}
    if "recipient" in draft.roles:
        topics[DELIVERIES + draft.id] = partitions
    await streams.create_topics(topics)
    scheme.party_store(draft.id).save(draft.id, keys.to_jwks())
    await streams.append([document])
    return _party(draft, keys)


async def put_agreement(
    scheme: SchemeFolder, streams: Streams, agreement: Agreement, *, name: str
) -> str:
    """Put a valid agreement on ``control``, with the schemas of the views that it gives.

    Returns the SHA-256 of its canonical form, which the parties sign.

    Raises:
        AgreementInvalid: it breaks a rule of law or names what does not exist.
        AlreadyThere: this version exists with another text.

    """
    problems = [p for p in validate(agreement, scheme.catalogue) if p.severity == "error"]
    if problems:
        raise AgreementInvalid(name, problems)
    control = await _control(scheme, streams)
    sha256 = digest(agreement)
    if any(
        version.agreement is not None
        and (version.agreement.id, version.number) == (agreement.id, agreement.version)
        and version.sha256 != sha256
        for version in control.versions()
    ):
        raise AlreadyThere(
            f"version {agreement.version} of {agreement.id} exists with another text:"
            f" a change is a new version, so write version {agreement.version + 1}"
        )
    schemas = missing_schemas(views_of(agreement, scheme.catalogue), control.documents)
    key = document_key(Kind.AGREEMENT, agreement.id, agreement.version)
    await streams.append([*schemas, Outgoing(CONTROL, key, canonical_form(agreement))])
    return sha256


async def find_agreement(
    scheme: SchemeFolder, streams: Streams, agreement_id: str, version: int | None
) -> Agreement:
    """Return an agreement of the scheme; without a version the latest.

    Raises:
        NotThere: there is none.

    """
    control = await _control(scheme, streams)
    found = [
        known.agreement
        for known in control.versions()
        if known.agreement is not None
        and known.agreement.id == agreement_id
        and version in (None, known.number)
    ]
    if not found:
        raise NotThere(f"there is no agreement {agreement_id}: see `concordat agreement list`")
    return max(found, key=lambda agreement: agreement.version)


async def standings(scheme: SchemeFolder, streams: Streams) -> list[dict[str, Any]]:
    """Return each agreement with where its parties stand, by id and version."""
    control = await _control(scheme, streams)
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
        for version in control.versions()
        if version.agreement is not None
    ]


async def sign_agreement(  # noqa: PLR0913  who says what of which text, and when
    scheme: SchemeFolder,
    streams: Streams,
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
        NotThere: the party is no party of the agreement.
        KeysUnavailable: its keys are not in this folder.

    """
    if party not in {known.id for known in agreement.parties}:
        raise NotThere(f"{party} is no party of {agreement.id} version {agreement.version}")
    token = sign(
        Subject.of(agreement),
        scheme.party_keys(party).signing[0].to_private_jwk(),
        type=kind,
        party=party,
        signatory=signatory,
        signed_at=at,
        reason=reason,
    )
    document = Outgoing(
        CONTROL,
        document_key(Kind.SIGNATURE, agreement.id, agreement.version, party=party, type=kind.value),
        json.dumps({"jws": token}).encode(),
    )
    await streams.append([document])
    return digest(agreement)


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


def _party_document(scheme: SchemeFolder, draft: PartyDraft, keys: Keyring) -> Outgoing:
    party = _party(draft, keys)
    token = sign_document(scheme.scheme_signing_key(), party.model_dump(mode="json"))
    return Outgoing(
        CONTROL,
        document_key(Kind.PARTY, party.id, party.revision),
        json.dumps({"jws": token}).encode(),
    )


async def _control(scheme: SchemeFolder, streams: Streams) -> ControlState:
    control = scheme.control()
    await control.load(streams)
    return control
