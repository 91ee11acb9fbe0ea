"""What is done to a scheme besides deciding: it lies on `decisions`, in the log's one order.

An act on a control document is appended together with it, so neither is there without the
other. A reading is appended before the answer is given: no record, no answer.

An act is a record of its own schema (``schemas/act.avsc``), told from a decision record by
the fingerprint in its framing. No identifier of a person is in one: what people write in
their own words is refused when it holds what looks like one.
"""

import getpass
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from importlib.resources import files
from typing import Any, ClassVar, Final

import fastavro

from broker.recording import read_decision
from broker.routing import DECISIONS
from connectors.streams import Outgoing, Streams
from schemas.avro import fingerprint
from schemas.errors import RejectedInput
from schemas.framing import frame
from schemas.identifiers import PERSONAL, check

KEY: Final = b"act"
"""The record key of every act."""

_TEXT: Final = files("schemas").joinpath("act.avsc").read_text(encoding="utf-8")
_SCHEMA: Final = fastavro.parse_schema(json.loads(_TEXT))
_FRAME: Final = frame(fingerprint(json.loads(_TEXT)), b"")
_LONGEST_WORDS: Final = 500


class ActKind(StrEnum):
    """What sort of act it is. The values are in evidence: never reuse one."""

    CONTROL = "control"
    ADMINISTRATION = "administration"
    READING = "reading"
    SHREDDING = "shredding"
    LEGAL_HOLD = "legal-hold"
    WITNESS = "witness"


class BadAct(RejectedInput):
    """An act cannot be recorded as it was told, or a record is none."""

    code: ClassVar[str] = "bad-act"


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did: the fields of ``schemas/act.avsc``, where they are explained.

    ``at`` is aware and kept to the millisecond.
    """

    kind: ActKind
    at: datetime
    by: str
    about: str
    reason: str = ""
    reference: str = ""
    digest: bytes = b""
    results: int | None = None

    def to_bytes(self) -> bytes:
        """Return it as it lies on `decisions`."""
        buffer = io.BytesIO()
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["kind"] = self.kind.replace("-", "_")  # Avro's symbols are names
        fastavro.schemaless_writer(buffer, _SCHEMA, fields)
        return _FRAME + buffer.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Return it for a reader."""
        return {
            "kind": self.kind.value,
            "at": self.at.isoformat(),
            "by": self.by,
            "about": self.about,
            "reason": self.reason,
            "reference": self.reference,
            "digest": self.digest.hex(),
            "results": self.results,
        }


def act_record(act: Act) -> Outgoing:
    """Return the record to append, where possible together with what it tells of."""
    return Outgoing(DECISIONS, KEY, act.to_bytes())


def act_on_control(
    key: bytes | None, value: bytes | None, *, by: str, at: datetime, reason: str = ""
) -> Outgoing:
    """Return the record of the act that put a document on `control`."""
    about = (key or b"").decode(errors="replace")
    digest = sha256(value or b"").digest()
    return act_record(Act(ActKind.CONTROL, at, by, about, reason=reason, digest=digest))


def with_acts(documents: Sequence[Outgoing], *, by: str, at: datetime) -> list[Outgoing]:
    """Return documents for `control` and the act of each, to be appended in one."""
    acts = [act_on_control(one.key, one.value, by=by, at=at) for one in documents]
    return [*documents, *acts]


def is_act(value: bytes | None) -> bool:
    """Whether a record on `decisions` is an act, not a decision record."""
    return value is not None and value.startswith(_FRAME)


def read_act(value: bytes) -> Act:
    """Decode an act.

    Raises:
        BadAct: it is none.

    """
    if not is_act(value):
        raise BadAct("expected the record of an act: its schema's fingerprint does not match")
    buffer = io.BytesIO(value[len(_FRAME) :])
    try:
        read: Any = fastavro.schemaless_reader(buffer, _SCHEMA, None)
        kind = ActKind(read.pop("kind").replace("_", "-"))
    except Exception as error:  # noqa: BLE001  whatever fastavro makes of bytes that are none
        raise BadAct(f"expected the record of an act ({type(error).__name__})") from None
    if buffer.read(1):
        raise BadAct("expected nothing after the record of an act")
    return Act(kind, **read)


def read_entry(value: bytes) -> dict[str, Any] | Act:
    """Decode what lies on `decisions`: a decision record, or an act.

    Raises:
        BadAct: its framing says act, and it is none.
        ValueError: it is neither.

    """
    return read_act(value) if is_act(value) else read_decision(value)


async def record_act(streams: Streams, act: Act) -> None:
    """Append an act that changes nothing else.

    Raises:
        BadAct: as `check_act`.
        StreamsUnavailable: it is not recorded.

    """
    check_act(act)
    await streams.append([act_record(act)])


async def record_reading(  # noqa: PLR0913  who asked what, when and why, and how much was found
    streams: Streams,
    *,
    by: str,
    reason: str,
    about: str,
    results: int,
    at: datetime,
    reference: str = "",
) -> None:
    """Record that somebody asked the log; to be called before the answer is given.

    ``about`` says what was asked, such as the kinds of identifier, never their values.

    Raises:
        BadAct: as `check_act`, or there is no reason.
        StreamsUnavailable: it is not recorded, so the answer must not be given.

    """
    check_words("the reason", reason)
    reading = Act(
        ActKind.READING, at, by, about, reason=reason, reference=reference, results=results
    )
    await record_act(streams, reading)


def check_act(act: Act) -> None:
    """See that an act can be recorded.

    Raises:
        BadAct: who or what is missing, or holds what looks like a person's identifier.

    """
    check_words("who does it", act.by)
    check_words("what it is about", act.about)
    for what, words in (("the reason", act.reason), ("the reference", act.reference)):
        if words:
            check_words(what, words)


def check_words(what: str, words: str) -> None:
    """See that what somebody wrote can stand in the log for ever.

    Raises:
        BadAct: it is empty, too long, no plain line, or looks like it identifies a person.

    """
    if not words.strip() or len(words) > _LONGEST_WORDS or not words.isprintable():
        raise BadAct(f"{what}: expected one line of 1 to {_LONGEST_WORDS} characters")
    kind = _kind_of_identifier(words)
    if kind is not None:
        raise BadAct(
            f"{what} holds what looks like a person's {kind}, and is kept for ever: name the"
            " case instead, such as SAR-2026-014"
        )


_TOLD_APART: Final = sorted(PERSONAL & {"nhs-number", "upn", "uln", "nino"})
"""Kinds with check digits or a form of their own: any word could be one of the others."""
_MAY_IDENTIFY: Final = re.compile(
    r"(?<![\w-])(?:[0-9](?:[ -]?[0-9]){9}|[A-Z][0-9]{11}[A-Z0-9]|[A-Z]{2}(?: ?[0-9]{2}){3} ?[A-D])"
    r"(?![\w-])",
    re.IGNORECASE,
)


def _kind_of_identifier(words: str) -> str | None:
    """Return the kind of identifier that is found in a text; None where there is none."""
    for found in _MAY_IDENTIFY.finditer(words):
        text = re.sub("[ -]", "", found[0]).upper()
        for kind in _TOLD_APART:
            if check(kind, text) is None:
                return kind
    return None


def officer() -> str:
    """Return who does something, where nobody is named: the user of the machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"  # a container's user may have no name
