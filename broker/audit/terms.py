"""What decision records are about, in words: agreements, parties and items.

Read from ``control`` and the catalogue. A decision record names what it was decided under by
hash, so the text found here is the very one; what the scheme knows no more stays a name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from agreements import gateways
from agreements.model import Agreement, Flow, PartyRole
from agreements.paper.tree import Line, code, joined, link, said, together
from agreements.signed import Version
from agreements.words import conditions, title_of
from broker.audit.disclosures import Basis, Disclosure
from broker.legal import in_words
from schemas.catalogue import Catalogue, Field, Sensitivity
from schemas.control import Party

_REGIMES: Final = {
    "uk-gdpr": "UK GDPR and Part 2 of the DPA 2018",
    "dpa-part-3": "Part 3 of the DPA 2018 (law enforcement)",
}
PART_THREE: Final = "dpa-part-3"


@dataclass(frozen=True, slots=True)
class Terms:
    """The scheme's agreements, by id and hash in hexadecimal, its parties and event types."""

    agreements: Mapping[tuple[str, str], Agreement]
    parties: Mapping[str, Party]
    catalogue: Catalogue

    @classmethod
    def of(
        cls, versions: Iterable[Version], parties: Mapping[str, Party], catalogue: Catalogue
    ) -> "Terms":
        """Return what a control state says."""
        texts = {
            (version.agreement.id, version.sha256): version.agreement
            for version in versions
            if version.agreement is not None
        }
        return cls(texts, parties, catalogue)

    def agreement(self, one: Disclosure) -> Agreement | None:
        """Return the text that was decided under; None where the scheme has it no more."""
        return self.agreements.get((one.agreement, one.hash))

    def flow(self, one: Disclosure) -> Flow | None:
        """Return the flow that was decided under."""
        agreement = self.agreement(one)
        flows = () if agreement is None else agreement.flows
        return next((flow for flow in flows if flow.id == one.flow), None)

    def reason(self, one: Disclosure) -> str:
        """Return why nothing was shared, a condition by what it says."""
        flow = self.flow(one)
        detail = one.detail if flow is None else conditions(flow).get(one.detail, one.detail)
        return f"{one.reason} ({detail})" if detail else one.reason

    def title(self, one: Disclosure) -> str:
        """Return the agreement's title, or its address where the text is not known."""
        agreement = self.agreement(one)
        return one.agreement if agreement is None else agreement.title

    def purpose(self, one: Disclosure) -> str:
        """Return the purpose in the agreement's words, or its code."""
        agreement = self.agreement(one)
        purposes = () if agreement is None else agreement.purposes
        return next((known.text for known in purposes if known.code == one.purpose), one.purpose)

    def name(self, party: str) -> str:
        """Return an organisation's name, or its id."""
        known = self.parties.get(party)
        return party if known is None else known.name

    def is_law_enforcement(self, party: str) -> bool:
        """Whether an organisation is registered as processing under Part 3 of the DPA 2018."""
        known = self.parties.get(party)
        return known is not None and known.regime == PART_THREE

    def fields(self, event_type: str, path: str) -> tuple[Field, ...]:
        """Return an item as every revision of its event type has it."""
        if event_type not in self.catalogue:
            return ()
        found = (one.by_path.get(path) for one in self.catalogue.revisions(event_type))
        return tuple(field for field in found if field is not None)

    def labels(self, event_type: str, path: str) -> frozenset[Sensitivity]:
        """Return what care an item needs: all that any revision says of it or of its parts."""
        labels: set[Sensitivity] = set()
        for field in self.fields(event_type, path):
            labels |= field.sensitivity
        if event_type in self.catalogue:
            for revision in self.catalogue.revisions(event_type):
                for field in revision.fields:
                    if field.path.startswith(f"{path}."):
                        labels |= field.sensitivity
        return frozenset(labels)

    def is_free_text(self, event_type: str, path: str) -> bool:
        """Whether an item, or a part of it, may say anything."""
        if event_type not in self.catalogue:
            return False
        return any(
            field.free_text and (field.path == path or field.path.startswith(f"{path}."))
            for revision in self.catalogue.revisions(event_type)
            for field in revision.fields
        )

    def meaning(self, event_type: str, path: str) -> str:
        """Return what an item is, in the words of its schema; empty where they are unknown."""
        found = [field.doc for field in self.fields(event_type, path) if field.doc]
        return found[-1] if found else ""


def role_of(agreement: Agreement | None, party: str) -> PartyRole | None:
    """Return the part that a party plays in a text, if it plays one."""
    roles = () if agreement is None else agreement.parties
    return next((role for role in roles if role.id == party), None)


def party_line(terms: Terms, party: str) -> Line:
    """Return a party by its name, with the name that computers use."""
    name = terms.name(party)
    return code(party) if name == party else together(said(f"{name} ("), code(party), said(")"))


def items_line(paths: Iterable[str]) -> Line:
    """Return items by name; an empty line where there are none."""
    return joined([code(path) for path in paths])


def categories(labels: Iterable[Sensitivity]) -> tuple[str, ...]:
    """Return the categories of data that labels stand for, in words, each once."""
    return tuple(title_of("sensitivities", label) for label in sorted(set(labels)))


def basis_text(basis: Basis) -> str:
    """Return one side's legal basis in a line, for a cell."""
    regime = _REGIMES.get(basis.regime, basis.regime)
    return "; ".join([regime, *map(in_words, basis.conditions), *basis.gateways])


def basis_line(basis: Basis) -> Line:
    """Return one side's legal basis for a paper, the gateways as links."""
    parts = [said(_REGIMES.get(basis.regime, basis.regime))]
    parts += [said(in_words(condition)) for condition in basis.conditions]
    parts += [link(gateways.title_of(address), address) for address in basis.gateways]
    return joined(parts, "\n")


def basis_json(basis: Basis) -> dict[str, object]:
    """Return one side's legal basis as evidence has it."""
    return {
        "regime": basis.regime,
        "conditions": list(basis.conditions),
        "gateways": list(basis.gateways),
    }
