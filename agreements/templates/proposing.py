"""Start a template from a local agreement: what is local goes out, and places come in.

Every field of an agreement has a fate in `FATES`: it is national and stays, it is prose
and is cleared of what is local, a place stands for it, or it is left out. A test holds
the table to the model, so that a field added later is not carried into a template by
accident. Comments of the file stay behind: nobody can tell what they hold.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agreements.canonical import to_document
from agreements.gateways import is_legislation
from agreements.model import Agreement
from agreements.templates.localities import Localities, part_played
from agreements.templates.model import LICENCE, Template
from agreements.templates.reading import read_template
from agreements.templates.writing import to_yaml
from schemas.avro import kind_of
from schemas.catalogue import Catalogue, Field

# Fates: stay as it is; prose to be cleared; left out; a party's id; a name in the text;
# or the kind and name of the place that stands for it.
STAYS, PROSE, OUT, PARTY, NAME, OPERAND, LAW = (
    "stays", "prose", "out", "party", "name", "operand", "law",
)  # fmt: skip
Fate = str | tuple[str, str]

_PROSE: Final = """
    title summary purposes.text purposes.necessity purposes.benefit purposes.compatible_with
    flows.text flows.subjects flows.items.justification dpia.reason retention.trigger
    retention.disposal rights.rectification rights.objection rights.erasure rights.complaints
    breach.containment transparency.explanation security.handling security.allowed_roles
    security.measures use.data use.permitted use.prohibited use.duties use.compliance
    review.triggers parties.acting_for
    parties.contact.post parties.contacts.dpo.post parties.contacts.sar.post
    parties.contacts.breach_24x7.post parties.contacts.single_point.post
"""
_STAYS: Final = """
    format kind classification purposes.beyond_individual_care purposes.concepts parties.role
    parties.direction parties.capacities flows.events flows.schemas.min flows.schemas.max
    flows.when.item flows.when.present flows.when.before flows.when.after flows.when.otherwise
    flows.max_age flows.items.path flows.items.transform flows.items.transform.generalise
    flows.items.required flows.items.free_text flows.delivery flows.needs_consent flows.trigger
    flows.requires flows.feedback dpia.status dpia.residual_risk retention.items retention.period
    evidence.records
    breach.partner_notice_hours transparency.inform_subject security.uk_only
    security.onward_sharing suspension.hold_for suspension.then review.every
    review.escalate_after
"""
_OUT: Final = """
    template supersedes document identifier contact framework signing change_log review.to
    parties.identifiers parties.catalogue_ids parties.joined_on parties.left_on
"""
_PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "id": ("uri", "agreement"),
    "effective.starts_at": ("date", "starts"),
    "effective.ends_at": ("date", "ends"),
    "effective.review_by": ("date", "review"),
    "dpia.ref": ("title", "dpia-ref"),
    "dpia.version": ("title", "dpia-version"),
    "dpia.approved_by": ("title", "dpia-approved-by"),
    "dpia.approved_on": ("date", "dpia-approved-on"),
    "dpia.review_by": ("date", "dpia-review"),
    "transparency.privacy_notice": ("uri", "privacy-notice"),
    "parties.name": ("title", "name"),
}
_SIDE: Final[Mapping[str, Fate]] = {
    **dict.fromkeys(
        ("regime", "art6", "annex1", "art9", "sch1", "art10", "confidentiality"), STAYS
    ),
    "part3.s35": STAYS,
    "part3.sch8": STAYS,
    "part3.authorised_by": LAW,
    "gateways": LAW,
    "appropriate_policy_document": ("title", "policy-document"),
    "confidentiality_reference": ("title", "confidentiality-reference"),
}
_CONTACTS: Final = (
    "parties.contact", "parties.contacts.dpo", "parties.contacts.sar",
    "parties.contacts.breach_24x7", "parties.contacts.single_point",
)  # fmt: skip
FATES: Final[Mapping[str, Fate]] = {
    **dict.fromkeys(_STAYS.split(), STAYS),
    **dict.fromkeys(_PROSE.split(), PROSE),
    **dict.fromkeys(_OUT.split(), OUT),
    **_PLACES,
    **{f"flows.legal.provider.{field}": fate for field, fate in _SIDE.items()},
    **{f"flows.legal.recipient.{field}": fate for field, fate in _SIDE.items()},
    **{f"{contact}.email": ("email", "email") for contact in _CONTACTS},
    **{f"{contact}.telephone": ("telephone", "telephone") for contact in _CONTACTS},
    **dict.fromkeys(
        ("owner", "facilitator", "parties.id", "flows.from", "flows.to", "retention.party",
         "rights.sar_lead", "breach.ico_lead"),
        PARTY,
    ),
    **dict.fromkeys(("purposes.code", "flows.id", "flows.purpose"), NAME),
    **dict.fromkeys(("flows.when.equals", "flows.when.in", "flows.when.not_in"), OPERAND),
    "version": OUT,
}  # fmt: skip
_TEXTS: Final = {
    "agreement": "The agreement's own address",
    "starts": "First day",
    "ends": "The day on which it no longer runs",
    "review": "Day by which it is reviewed",
    "privacy-notice": "Address of the privacy notice",
    "dpia-ref": "Reference of the impact assessment",
    "dpia-version": "Its version",
    "dpia-approved-by": "The post that approved it",
    "dpia-approved-on": "The day on which it was approved",
    "dpia-review": "The day by which it is reviewed",
}


@dataclass(frozen=True, slots=True)
class Header:
    """What the author of a new template says about it."""

    uri: str
    author: str
    title: str | None = None


def proposed(
    agreement: Agreement,
    header: Header,
    catalogue: Catalogue,
    parts: Mapping[str, str] | None = None,
) -> Template:
    """Return a template made of a local agreement; raises AgreementInvalid.

    ``parts`` names the part that a party plays, such as ``acute-trust``; without it, it is
    what remains of the party's id.
    """
    document = to_document(agreement)
    clearing = _Clearing(Localities(), _fields(agreement, catalogue))
    clearing.learn(document["parties"], dict(parts or {}))
    clearing.learn_codes(document["flows"])
    body = {"format": 1, **clearing.cleared(document, "")}
    body = {key: 1 if key == "version" else body[key] for key in _in_order(document, body)}
    title = clearing.known.cleared(header.title or agreement.title)
    text = to_yaml(
        {
            "format": 1,
            "uri": header.uri,
            "version": 1,
            "title": title,
            "summary": body.get("summary", title),
            "author": header.author,
            "licence": LICENCE,
            "to_confirm": [
                {"flow": flow["id"], "text": "The legal bases, taken over from a local agreement"}
                for flow in body["flows"]
            ],
            "places": {
                name: place.model_dump(mode="json", exclude_unset=True)
                for name, place in clearing.known.places.items()
            },
            "agreement": body,
        }
    )
    return read_template(text, name="the proposed template", catalogue=catalogue)


def _in_order(document: Mapping[str, Any], body: Mapping[str, Any]) -> list[str]:
    return [key for key in document if key in body or key == "version"]


def _fields(agreement: Agreement, catalogue: Catalogue) -> dict[str, Field]:
    """Return the item of each condition by its path, where the catalogue knows it."""
    found = {}
    for flow in agreement.flows:
        for name in flow.events:
            if name in catalogue:
                found.update(catalogue.latest(name).by_path)
    return found


@dataclass(slots=True)
class _Clearing:
    """Walks an agreement's data and gives every value its fate."""

    known: Localities
    items: Mapping[str, Field]
    party: str = ""  # around the value, for the names of places

    def learn(self, parties: list[dict[str, Any]], parts: dict[str, str]) -> None:
        """Make the places of the parties first: the rest of the text speaks of them."""
        for party in parties:
            self.known.learn(party["id"].replace("-", " "), party.get("name", ""))
            part = parts.get(party["id"], part_played(party["id"]))
            told = part.replace("-", " ")
            place = self.known.place("party", party["id"], part, f"The party that is the {told}")
            if "name" in party:
                wanted = f"{place[1:-1]}-name"
                self.known.place("title", party["name"], wanted, f"Name of the {told}")

    def learn_codes(self, flows: list[dict[str, Any]]) -> None:
        """Make the places of local codes, so that prose speaks of them by the item's name."""
        for flow in flows:
            for condition in flow.get("when", ()):
                for key in condition.keys() & {"equals", "in", "not_in"}:
                    self._operand(condition, key)

    def cleared(self, value: Any, path: str) -> Any:
        """Return the value without what is local; None where nothing may stay."""
        fate = FATES.get(path)
        if isinstance(value, Mapping) and fate is None:
            return self._mapping(value, path)
        if isinstance(value, list) and fate not in (OUT, OPERAND):
            kept = (self.cleared(one, path) for one in value)
            return [one for one in kept if one is not None]
        return (
            _CLEAR[fate](self, value, path) if isinstance(fate, str) else self._place(value, fate)
        )

    def _mapping(self, value: Mapping[str, Any], path: str) -> dict[str, Any]:
        cleared = {}
        if path == "parties":
            self.party = (self.known.known("party", value["id"]) or "")[1:-1]
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            if path == "flows.legal":
                self.party = key
            kept = (
                self._operand(value, key)
                if FATES.get(below) == OPERAND
                else self.cleared(inner, below)
            )
            if kept is not None:
                cleared[key] = kept
        return cleared

    def _place(self, value: Any, fate: tuple[str, str] | None) -> str | None:
        if fate is None or not isinstance(value, str):
            return None  # a field that this table does not know never goes on
        kind, name = fate
        wanted = name if name in _TEXTS else f"{self.party}-{name}"
        text = _TEXTS.get(name, wanted.replace("-", " ").capitalize())
        return self.known.place(kind, value, wanted, text)

    def _operand(self, condition: Mapping[str, Any], key: str) -> Any:
        item, operand = condition["item"], condition[key]
        if isinstance(operand, list):
            return [self._compared(item, one) for one in operand]
        return self._compared(item, operand)

    def _compared(self, item: str, operand: Any) -> Any:
        """A code of an area or a body is local; a value of the event type's own list is not."""
        field = self.items.get(item)
        if not isinstance(operand, str):
            return operand
        if field is not None and field.identifier is not None:
            kind = field.identifier if field.identifier in ("gss", "ods", "urn") else "code"
            return self.known.place(kind, operand, _kebab(item), f"Value of {item}")
        if field is not None and kind_of(_type(field.schema)) == "enum":
            return operand
        return self.known.cleared(operand)


def _party(clearing: _Clearing, value: Any, _path: str) -> Any:
    clearing.known.learn(value.replace("-", " "))  # who assures need not be a party
    return clearing.known.known("party", value) or clearing.known.place(
        "party", value, part_played(value), "A party"
    )


def _law(clearing: _Clearing, value: Any, _path: str) -> Any:
    if is_legislation(value):
        return value
    return clearing.known.place("uri", value, "gateway", "Address of the law relied on")


_CLEAR: Final[Mapping[str, Callable[[_Clearing, Any, str], Any]]] = {
    STAYS: lambda _c, value, _p: value,
    PROSE: lambda c, value, _p: c.known.cleared(value),
    OUT: lambda _c, _v, _p: None,
    PARTY: _party,
    NAME: lambda c, value, _p: c.known.name(value),
    LAW: _law,
}


def _kebab(path: str) -> str:
    last = path.rpartition(".")[2]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", last).lower().replace("_", "-")


def _type(schema: Any) -> Any:
    if isinstance(schema, list):
        return next((branch for branch in schema if branch != "null"), "null")
    return schema
