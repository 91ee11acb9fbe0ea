"""An information-sharing agreement: the text that the parties sign and the rules that run.

The shapes only; those of the duties around the flows are in `duties`. What a
document must also satisfy in law is in `law`, how a file becomes a model and what
the errors say in `reading`, the hash that is signed in `canonical`. Everything is
frozen and refuses unknown fields.

Fields follow the YAML of the documentation; two are Python keywords and have
an underscore here (``Flow.from_``, ``Condition.in_``). A field that may be left
out has a default, and what was left out stays out of the canonical form.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from agreements.duties import (
    Breach,
    Change,
    Contact,
    Contacts,
    Document,
    Dpia,
    Evidence,
    Identifier,
    Part,
    Retention,
    Review,
    Rights,
    Security,
    Signing,
    Suspension,
    Transparency,
    Use,
)
from agreements.values import (
    Annex1,
    Art6,
    Art9,
    Art10,
    Assurance,
    Capacity,
    Confidentiality,
    Day,
    EventTypeName,
    ExactDuration,
    Flag,
    ItemPath,
    Kind,
    Moment,
    Name,
    PartyId,
    Register,
    Role,
    Sch8,
    Text,
    Title,
    Uri,
    Value,
    Whole,
    to_duration,
)

__all__ = [
    "OPERATORS",
    "Agreement",
    "Condition",
    "Contact",
    "Dpia",
    "Effective",
    "Flow",
    "Generalise",
    "Item",
    "Legal",
    "LegalBasis",
    "Part",
    "PartThree",
    "PartyRole",
    "Purpose",
    "Reference",
    "Registered",
    "Retention",
    "Suspension",
]

# Integers as far as JSON carries them exactly (RFC 7493 §2.2).
Scalar = Value | Flag | Annotated[int, Strict(), Field(ge=1 - 2**53, le=2**53 - 1)]
Outcome = Literal["deny", "review"]
OPERATORS = ("equals", "in_", "not_in", "present", "before", "after")


class Reference(Part):
    """Another document, by address and version."""

    uri: Uri
    version: Whole


class Effective(Part):
    """When the agreement runs: ``starts_at`` inclusive, ``ends_at`` exclusive, UTC."""

    starts_at: Moment
    ends_at: Moment
    review_by: Moment | None = None


class Purpose(Part):
    """Why information is shared, and why less would not do."""

    code: Name
    text: Text
    necessity: Text
    benefit: Text | None = None
    beyond_individual_care: Flag = False  # switches the national data opt-out check on
    compatible_with: Text | None = None  # UK GDPR Art 5(1)(b), where the purpose is a new one
    concepts: tuple[Uri, ...] = ()  # the same purpose in public vocabularies, such as W3C DPV


class Registered(Part):
    """What an organisation is called in a public register of organisations."""

    system: Register
    value: Title


class PartyRole(Part):
    """What an organisation is in this agreement; its keys and regime are in the scheme.

    ``contact`` is its single point of contact. A party is in from the midnight (UTC) that
    ``joined_on`` begins with, and out from that of ``left_on``. Where ``capacities`` are
    given, only an acceptance in one of them counts.
    """

    id: PartyId
    role: Role
    direction: Literal["provides", "receives", "both"]
    name: Title | None = None
    acting_for: Text | None = None
    contact: Contact | None = None
    contacts: Contacts = Contacts()
    identifiers: tuple[Registered, ...] = ()
    catalogue_ids: tuple[Title | Identifier, ...] = ()  # SharingPolicy.Party.CatalogueID
    capacities: tuple[Capacity, ...] = ()
    joined_on: Day | None = None
    left_on: Day | None = None

    @property
    def may_provide(self) -> bool:
        """Whether a flow may come from this party."""
        return self.direction != "receives"

    @property
    def may_receive(self) -> bool:
        """Whether a flow may go to this party."""
        return self.direction != "provides"


class PartThree(Part):
    """The conditions of law-enforcement processing (DPA 2018 ss. 35 and 42)."""

    s35: Literal["consent", "task"]
    sch8: tuple[Sch8, ...] = ()
    authorised_by: tuple[Uri, ...] = ()  # s. 36(4): law that allows use outside Part 3


class LegalBasis(Part):
    """What allows one side of a flow to process; the two sides have one each."""

    regime: Literal["uk-gdpr", "dpa-part-3"]
    art6: Art6 | None = None
    annex1: Annex1 | None = None  # the recognised legitimate interest that art6 ea rests on
    art9: tuple[Art9, ...] = ()
    sch1: tuple[Whole, ...] = ()  # paragraphs of Schedule 1 to the DPA 2018
    art10: Art10 | None = None
    part3: PartThree | None = None
    gateways: tuple[Uri, ...] = ()
    confidentiality: Confidentiality | None = None
    confidentiality_reference: Text | None = None  # the support, the order, who decided and why
    appropriate_policy_document: Text | None = None


class Legal(Part):
    """Both sides' legal bases: police send under Part 3 what social care receives under Part 2."""

    provider: LegalBasis
    recipient: LegalBasis


class Condition(Part):
    """One test of one item; exactly one operator. When it fails, ``otherwise`` is the outcome.

    An absent item (null) fails every test but ``not_in`` and ``present: false``.
    ``present: true`` holds for a value that is there and, for text and lists, not
    empty. ``before`` and ``after`` compare dates: before is exclusive, after inclusive.
    """

    item: ItemPath
    equals: Scalar | None = None
    in_: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = Field(None, alias="in")
    not_in: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = None
    present: Flag | None = None
    before: Day | None = None
    after: Day | None = None
    otherwise: Outcome = "deny"

    @model_validator(mode="after")
    def _one_operator(self) -> Self:
        if sum(getattr(self, operator) is not None for operator in OPERATORS) != 1:
            raise PydanticCustomError(
                "one-operator",
                "expected exactly one of equals, in, not_in, present, before, after",
            )
        return self

    @property
    def operator(self) -> str:
        """The operator's name as it is written: equals, in, not_in, present, before, after."""
        given = next(op for op in OPERATORS if getattr(self, op) is not None)
        return given.rstrip("_")

    @property
    def operand(self) -> Any:
        """What the item is compared with."""
        return getattr(self, "in_" if self.operator == "in" else self.operator)


class Generalise(Part):
    """Share a coarser value in place of the exact one."""

    generalise: Literal["year", "month", "age-band", "postcode-sector", "postcode-district"]


Transform = Literal["drop", "mask", "pseudonym"] | Generalise


class Item(Part):
    """A piece of information that the recipient may have, and in which form."""

    path: ItemPath
    transform: Transform | None = None
    required: Flag = False  # withheld means review, not a delivery without it
    free_text: Flag = False
    justification: Text | None = None


class SchemaRange(Part):
    """The revisions of the event type's schema that the parties had in view; both inclusive."""

    min: Whole = 1
    max: Whole | None = None


class Flow(Part):
    """What the engine compiles: events, from whom to whom, why, allowed by what, which items."""

    id: Name
    events: Annotated[tuple[EventTypeName, ...], Field(min_length=1)]
    schemas: SchemaRange = SchemaRange()
    from_: Annotated[tuple[PartyId, ...], Field(min_length=1)] = Field(alias="from")
    to: Annotated[tuple[PartyId, ...], Field(min_length=1)]
    purpose: Name
    legal: Legal
    when: tuple[Condition, ...] = ()
    max_age: ExactDuration | None = None  # from occurred to decided
    items: Annotated[tuple[Item, ...], Field(min_length=1)]
    delivery: Literal["payload", "reference", "notify"] = "payload"
    trigger: Literal["event", "request", "batch"] = "event"
    requires: tuple[Assurance, ...] = ()  # of the recipient, valid when it is decided
    subjects: tuple[Title, ...] = ()  # categories of data subjects (UK GDPR Art 30(1)(c))
    feedback: EventTypeName | None = None  # the event that tells what came of it
    needs_consent: Flag = False
    text: Text | None = None

    @property
    def oldest(self) -> timedelta | None:
        """``max_age`` as a length of time; None when an event may be of any age."""
        return None if self.max_age is None else to_duration(self.max_age)

    @property
    def relies_on_consent(self) -> bool:
        """Whether a withdrawn consent stops the flow."""
        sides = (self.legal.provider, self.legal.recipient)
        return self.needs_consent or any(
            side.art6 == "a" or "a" in side.art9 or side.confidentiality == "explicit-consent"
            for side in sides
        )


class Agreement(Part):
    """One version of an agreement; immutable once signed, known by id and version."""

    format: Literal[1]
    id: Uri
    version: Whole
    title: Title
    owner: PartyId
    kind: Kind | None = None
    identifier: Identifier | None = None
    document: Document | None = None
    contact: Text | None = None  # of the document's owner, in a line
    facilitator: PartyId | None = None  # assures it, and is never its owner
    framework: Title | None = None
    summary: Text | None = None
    template: Reference | None = None
    supersedes: Reference | None = None
    effective: Effective
    classification: Literal["OFFICIAL", "OFFICIAL-SENSITIVE"] = "OFFICIAL-SENSITIVE"
    purposes: Annotated[tuple[Purpose, ...], Field(min_length=1)]
    parties: Annotated[tuple[PartyRole, ...], Field(min_length=2)]
    flows: Annotated[tuple[Flow, ...], Field(min_length=1)]
    dpia: Dpia
    retention: tuple[Retention, ...] = ()
    evidence: Evidence = Evidence()
    rights: Rights = Rights()
    breach: Breach = Breach()
    transparency: Transparency = Transparency()
    security: Security = Security()
    use: Use = Use()
    signing: Signing = Signing()
    suspension: Suspension = Suspension()
    review: Review = Review()
    change_log: tuple[Change, ...] = ()

    def flow(self, flow_id: str) -> Flow:
        """Return the flow of that id; raises KeyError."""
        for flow in self.flows:
            if flow.id == flow_id:
                return flow
        raise KeyError(flow_id)

    def party(self, party_id: str) -> PartyRole:
        """Return the part that an organisation plays; raises KeyError when it plays none."""
        for party in self.parties:
            if party.id == party_id:
                return party
        raise KeyError(party_id)
