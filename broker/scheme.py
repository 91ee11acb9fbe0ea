"""A scheme's folder: its settings and keys, and the parts of the service built from them.

    concordat.toml          settings, with the scheme's public key pinned
    keys/                   the scheme's and the broker's private keys, encrypted
    parties/<id>/           a party's private keys, and its counts of what it signed and
                            opened; in service on that party's machine
    freshness.jws           what the scheme last signed of ``control``; keep it
    store.db                the register: documents with their revisions, and the outbox
    audit.db                the query store: who was told what, by blinded identifiers
    streams.db              the embedded streams
    received/<id>.jsonl     what `concordat receive` wrote
    evidence/               the log of all decisions

This is the one place that builds things; nothing below it reads settings.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agreements.model import Agreement
from agreements.rules import Compiler
from agreements.trying import Trial
from broker.control import ControlState
from broker.evidence.keys import LogKeys
from broker.freshness import Freshness
from broker.holding import Copies
from broker.issuing import FILE_NAME as FRESHNESS_FILE
from broker.issuing import Issuer, pause_seconds
from broker.keyring import Keyring
from broker.keystore import FileKeyStore, KeyStore, KeysUnavailable
from broker.notices import Telling
from broker.opening import Opening
from broker.retracting import Retractor
from broker.routing import Router
from broker.service import Progress, RouterService
from broker.settings import Settings
from connectors.counting import Ledger
from connectors.streams import Streams, open_streams
from connectors.streams.security import Security
from schemas.catalogue import Catalogue, shipped
from schemas.control import BROKER
from schemas.keys import SigningKey, VerifyingKey

if TYPE_CHECKING:
    from broker.audit.following import SignedLog
    from broker.audit.keys import AuditKeys
    from broker.audit.store import AuditStore
    from broker.storage import Store

SCHEME: Final = "scheme"


class SchemeFolder:
    """The parts of one scheme, each built when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.path: Path = settings.dir
        self._party_keys: dict[str, Keyring] = {}
        self._signing_key: SigningKey | None = None

    @cached_property
    def key_store(self) -> KeyStore:
        """Where the scheme's and the broker's own keys lie."""
        return FileKeyStore(self.path / "keys", self.settings.key_passphrase)

    def party_store(self, party: str) -> KeyStore:
        """Where a party keeps its keys, if it keeps them in this folder."""
        return FileKeyStore(self.path / "parties" / party, self.settings.key_passphrase)

    @cached_property
    def broker_keys(self) -> Keyring:
        """The broker's private keys."""
        return Keyring.from_jwks(BROKER, self.key_store.load(BROKER))

    def ledger(self, party: str) -> Ledger:
        """Return where a party counts what it signs and opens, if its keys are in this folder."""
        return Ledger(self.path / "parties" / party / "counts.db")

    def party_keys(self, party: str) -> Keyring:
        """Return a party's private keys; opening a key file is slow on purpose, so once."""
        if party not in self._party_keys:
            keys = Keyring.from_jwks(party, self.party_store(party).load(party))
            self._party_keys[party] = keys
        return self._party_keys[party]

    @cached_property
    def scheme_key(self) -> VerifyingKey:
        """The scheme's public key, as the settings pin it."""
        return VerifyingKey.from_jwk(self.settings.scheme.key)

    def scheme_signing_key(self) -> SigningKey:
        """Return the scheme's private key: to vouch for parties and for ``control`` as a whole."""
        if self._signing_key is None:
            self._signing_key = SigningKey.from_jwk(self.key_store.load(SCHEME)[0])
        return self._signing_key

    @cached_property
    def catalogue(self) -> Catalogue:
        """The event types."""
        return shipped()

    @cached_property
    def store(self) -> "Store":
        """The register, made or brought up to date when it is first asked for.

        What administers opens it; nothing that routes does.
        """
        from broker.storage import open_store

        return open_store(self.settings.store_address)

    @property
    def has_store(self) -> bool:
        """Whether there is a register here that changes may wait in."""
        from broker.storage import store_exists

        return store_exists(self.settings.store_address)

    @cached_property
    def audit_keys(self) -> "AuditKeys":
        """What identifiers of people were ever blinded under."""
        from broker.audit.keys import AuditKeys

        return AuditKeys.of_broker(self.broker_keys)

    def open_audit_store(self) -> "AuditStore":
        """Open what auditors' questions are answered from, made or brought up to date first."""
        from broker.audit.store import AuditStore
        from broker.storage import open_audit_store

        return AuditStore(open_audit_store(self.settings.audit_store_address), self.audit_keys)

    @cached_property
    def signed_log(self) -> "SignedLog | None":
        """The log and the key that its checkpoints are checked with; None where it is not."""
        from broker.audit.following import SignedLog
        from broker.evidence.reading import LogFiles

        if not self.has_log:
            return None
        return SignedLog(LogFiles(self.log_path), self.log_keys.public(self.log_origin))

    @property
    def log_path(self) -> Path:
        """Where the evidence log is written."""
        return self.path / "evidence"

    @property
    def has_log(self) -> bool:
        """Whether the log is written here: where its keys are."""
        try:
            return bool(self.log_keys)
        except KeysUnavailable:
            return False

    @cached_property
    def log_keys(self) -> LogKeys:
        """The log's own keys, which are where the log is written."""
        return LogKeys.load(self.key_store)

    @property
    def log_origin(self) -> str:
        """The log's name in its checkpoints, which no other scheme's log has."""
        return f"concordat/{self.scheme_key.kid[:16]}"

    def streams(self) -> AbstractAsyncContextManager[Streams]:
        """Return the streams, to be entered with ``async with``."""
        return open_streams(
            self.settings.streams_url, namespace=self.settings.namespace, security=self._security()
        )

    def _security(self) -> Security:
        kafka = self.settings.kafka
        return Security(
            security_protocol=kafka.security_protocol,
            ca_file=kafka.ca_file and self.path / kafka.ca_file,
            certificate_file=kafka.certificate_file and self.path / kafka.certificate_file,
            key_file=kafka.key_file and self.path / kafka.key_file,
            username=kafka.username,
            password=kafka.password.get_secret_value() if kafka.password is not None else "",
            mechanism=kafka.mechanism,
        )

    def control(self, *, is_routing: bool = True) -> ControlState:
        """Return an empty state of ``control`` that checks and compiles with this scheme's keys.

        Who does not route needs none of the broker's keys: its rules cut no view.
        """
        keys = self.broker_keys if is_routing else None
        return ControlState(
            Compiler(
                self.catalogue,
                scheme_key=self.scheme_key,
                pseudonym_key=lambda recipient: (
                    bytes(32) if keys is None else keys.derive("pseudonym", recipient)
                ),
            )
        )

    def freshness(self, control: ControlState) -> Freshness:
        """Return what tells whether this state of ``control`` is fresh enough to decide by."""
        max_age = self.settings.router.rules_max_age
        return Freshness(
            self.scheme_key, control.chain, max_age_ms=max_age // timedelta(milliseconds=1)
        )

    @cached_property
    def issuer(self) -> Issuer | None:
        """Who signs freshness statements; None where the scheme's private key is not."""
        try:
            key = self.scheme_signing_key()
        except KeysUnavailable:
            return None
        return Issuer(key, self.path / FRESHNESS_FILE)

    async def keep_fresh(self, streams: Streams, stopping: asyncio.Event) -> None:
        """Say again and again that ``control`` is whole, until stopped, and do nothing else.

        Raises:
            KeysUnavailable: the scheme's private key is not here.

        """
        issuer = Issuer(self.scheme_signing_key(), self.path / FRESHNESS_FILE)
        max_age = self.settings.router.rules_max_age
        pause = pause_seconds(max_age // timedelta(milliseconds=1))
        await issuer.keep_on(streams, stopping, every=pause)

    def service(
        self,
        streams: Streams,
        *,
        progress: Progress | None = None,
        issues: bool = True,
        telling: Telling | None = None,
    ) -> RouterService:
        """Return a router with the loop that owns its transactions.

        It ``issues`` freshness statements where the scheme's private key is, and tells
        former recipients of retractions where it has something to tell them with.
        """
        settings = self.settings.router
        control = self.control()
        return RouterService(
            streams,
            self.router(streams),
            control,
            freshness=self.freshness(control),
            issuer=self.issuer if issues else None,
            group=settings.group,
            max_records=settings.max_records,
            session_seconds=settings.session_seconds,
            partitions=self.settings.partitions,
            progress=progress,
            telling=telling,
        )

    @contextlib.contextmanager
    def telling(self, streams: Streams) -> Iterator[Telling]:
        """Give what former recipients are told with of retractions: the query store's answers."""
        from broker.audit.former_recipients import FormerRecipients

        evidence = FormerRecipients(streams, self.open_audit_store, lambda: self.signed_log)
        with contextlib.closing(evidence):
            yield Telling(self.retractor, evidence)

    @cached_property
    def retractor(self) -> Retractor:
        """What makes the notices that an event was taken back."""
        return Retractor(self.broker_keys, self.catalogue)

    @cached_property
    def copies(self) -> Copies:
        """What opens the copies of what is held."""
        return Copies.of_keys(self.broker_keys)

    def router(self, streams: Streams) -> Router:
        """Return a router with the broker's keys."""
        return self.routers_since(streams)[0]

    def routers_since(self, streams: Streams) -> list[Router]:
        """Return a router as it is, and as it was under each former audit key."""
        keys, limit = self.broker_keys, streams.max_record_bytes
        return [
            Router(replace(keys, audit=keys.audit[newer:]), self.catalogue, max_record_bytes=limit)
            for newer in range(len(keys.audit) + 1)
        ]

    def opening(self, streams: Streams) -> Opening:
        """Return what opens events as a router does, and nothing else."""
        return Opening(self.broker_keys, self.catalogue, most_bytes=streams.max_record_bytes)

    def trial(self, draft: Agreement) -> Trial:
        """Return a draft as though it were in force, among nobody yet."""
        return Trial(
            draft,
            self.catalogue,
            scheme_key=self.scheme_key,
            pseudonym_key=lambda recipient: self.broker_keys.derive("pseudonym", recipient),
        )
