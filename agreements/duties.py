"""What an agreement says around its flows: who to turn to, and each party's duties.

The shapes only, as in `model`, which has the flows that run. Of these parts the
engine reads ``Suspension`` and the evidence log ``Evidence``; the others are what the
parties sign and are held to.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

from agreements.values import (
    CalendarDuration,
    Day,
    ExactDuration,
    Flag,
    ItemPath,
    PartyId,
    Text,
    Title,
    Uri,
    Whole,
)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A part of an agreement: frozen, and closed to fields that nobody has defined."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )


class Contact(Part):
    """A post to turn to, never a private address."""

    post: Title
    email: Title | None = None
    telephone: Title | None = None


class Contacts(Part):
    """Whom the other parties turn to, by occasion."""

    dpo: Contact | None = None
    sar: Contact | None = None  # subject access requests
    breach_24x7: Contact | None = None
    single_point: Contact | None = None


class Identifier(Part):
    """A name in somebody else's register of documents."""

    value: Title
    system: Uri


class Document(Part):
    """The document that people read, where there is one: its address and its hash."""

    uri: Uri
    sha256: Sha256


class Dpia(Part):
    """The data protection impact assessment (UK GDPR Art 35)."""

    ref: Title | None = None
    version: Title | None = None
    status: Literal["not-required", "screened", "in-progress", "approved", "ico-consulted"]
    residual_risk: Literal["low", "medium", "high"] | None = None
    approved_by: Title | None = None
    approved_on: Day | None = None
    review_by: Day | None = None
    reason: Text | None = None


class Retention(Part):
    """How long a party keeps what it received, from when, and what it does then."""

    party: PartyId
    items: tuple[ItemPath, ...] = ()  # none: everything received
    period: CalendarDuration
    trigger: Text
    disposal: Text


class Evidence(Part):
    """How long the broker keeps its records of what was decided under the agreement."""

    records: CalendarDuration | None = None  # none: as the scheme has it for all


class Rights(Part):
    """Who answers data subjects, and how corrections and objections reach the others."""

    sar_lead: PartyId | None = None
    rectification: Text | None = None
    objection: Text | None = None
    erasure: Text | None = None
    complaints: Text | None = None


class Breach(Part):
    """What the parties do when something has gone wrong."""

    partner_notice_hours: Annotated[int, Strict(), Field(ge=1, le=72)] = 24
    ico_lead: PartyId | None = None
    containment: Text | None = None


class Transparency(Part):
    """What people are told (UK GDPR Arts 13 and 14)."""

    privacy_notice: Uri | None = None
    inform_subject: Literal["yes", "no-art-14-5", "no-prejudice-or-safety"] = "yes"
    explanation: Text | None = None


class Security(Part):
    """How what is received is handled."""

    handling: Text | None = None
    uk_only: Flag = True
    onward_sharing: Literal["none", "same-purpose-parties", "with-approval"] = "none"
    allowed_roles: tuple[Title, ...] = ()
    measures: tuple[Text, ...] = ()


class Use(Part):
    """What a recipient may do with what it has, in words or in codes such as those of ODRL.

    People hold each other to it; the engine decides on flows and does not read it.
    """

    data: tuple[Text, ...] = ()  # the data sets concerned, as people name them
    permitted: tuple[Text, ...] = ()
    prohibited: tuple[Text, ...] = ()
    duties: tuple[Text, ...] = ()
    compliance: tuple[Text, ...] = ()


class Signing(Part):
    """By when the parties are to have signed."""

    due: Day | None = None


class Suspension(Part):
    """What becomes of events while the agreement is suspended: held, and then decided as said."""

    hold_for: ExactDuration = "P14D"
    then: Literal["review", "deny"] = "review"


class Review(Part):
    """How the agreement is looked at again; ``effective.review_by`` is the date it is due."""

    every: CalendarDuration | None = None
    escalate_after: ExactDuration = "P30D"
    to: Contact | None = None
    triggers: tuple[Text, ...] = ()


class Change(Part):
    """What a version changed, in a sentence."""

    version: Whole
    on: Day
    text: Text
