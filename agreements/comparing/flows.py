"""What changes for each recipient of each flow.

Flows are the same flow when they have the same id. A flow to a recipient is compared
for those publishers that share with it before and after; a publisher that joins or
leaves is a change by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from agreements.comparing.changes import Change, sentence
from agreements.comparing.conditions import condition_changes
from agreements.comparing.items import Fields, Places, item_changes
from agreements.comparing.parts import part_changes, twice
from agreements.comparing.weighing import NARROWS, REWORDS, WIDENS
from agreements.law import flow_faults
from agreements.model import Agreement, Flow
from agreements.words import form_of, listed
from schemas.catalogue import Catalogue


def flow_changes(old: Agreement, new: Agreement, catalogue: Catalogue) -> Iterator[Change]:
    """Return what changes of the flows, those of the new version first."""
    before = {flow.id: (number, flow) for number, flow in enumerate(old.flows)}
    after = {flow.id: (number, flow) for number, flow in enumerate(new.flows)}
    if len(before) < len(old.flows) or len(after) < len(new.flows):
        yield twice("flow", "flows")
        return
    for name, (number, flow) in after.items():
        path = f"flows[{number}]"
        if name not in before:
            for recipient in _recipients(flow):
                yield _begins(flow, recipient, _publishers(flow, recipient), path)
            continue
        former, old_flow = before[name]
        both = _Both(old, new, old_flow, flow, path, f"flows[{former}]", catalogue)
        yield from both.changes()
    for name, (number, flow) in before.items():
        if name not in after:
            for recipient in _recipients(flow):
                path = f"flows[{number}]"
                yield _ends(flow, recipient, _publishers(flow, recipient), path)
    if before.keys() == after.keys() and list(before) != list(after):
        yield Change(REWORDS, "flow-order", "flows", "The flows stand in another order.")


def _recipients(flow: Flow) -> tuple[str, ...]:
    return tuple(dict.fromkeys(flow.to))


def _publishers(flow: Flow, recipient: str) -> tuple[str, ...]:
    # None of several parties that share with each other is sent its own.
    return tuple(dict.fromkeys(one for one in flow.from_ if one != recipient))


def _begins(flow: Flow, recipient: str, publishers: tuple[str, ...], path: str) -> Change:
    items = [f"{one.path} {form_of(one)}" for one in flow.items if one.transform != "drop"]
    text = (
        f"{recipient} receives {listed(flow.events)} from {listed(publishers or ('nobody',))} "
        f"with {listed(items or ['no item'])}"
    )
    return Change(
        WIDENS,
        "recipient-added",
        f"{path}.to",
        sentence(f"flow {flow.id}", text),
        flow=flow.id,
        recipient=recipient,
        publishers=publishers,
        runs=True,
    )


def _ends(flow: Flow, recipient: str, publishers: tuple[str, ...], path: str) -> Change:
    text = f"{recipient} no longer receives {listed(flow.events)}"
    text += f" from {listed(publishers or ('nobody',))}"
    return Change(
        NARROWS,
        "recipient-removed",
        f"{path}.to",
        sentence(f"flow {flow.id}", text),
        flow=flow.id,
        recipient=recipient,
        publishers=publishers,
        runs=True,
    )


@dataclass(frozen=True, slots=True)
class _Both:
    """A flow before and after, and where it stands in the documents."""

    old_agreement: Agreement
    new_agreement: Agreement
    old: Flow
    new: Flow
    path: str
    former: str
    catalogue: Catalogue

    def changes(self) -> Iterator[Change]:
        fields, complete = self._fields(), self._is_complete()
        for recipient in dict.fromkeys(chain(self.new.to, self.old.to)):
            before = _publishers(self.old, recipient) if recipient in self.old.to else ()
            after = _publishers(self.new, recipient) if recipient in self.new.to else ()
            joining = tuple(one for one in after if one not in before)
            leaving = tuple(one for one in before if one not in after)
            staying = tuple(one for one in before if one in after)
            if joining:
                yield _begins(self.new, recipient, joining, self.path)
            if leaving:
                yield _ends(self.old, recipient, leaving, self.former)
            if staying:
                for change in self._content(recipient, fields, complete):
                    yield replace(change, flow=self.new.id, recipient=recipient, publishers=staying)
        for name in ("from_", "to"):
            old, new = getattr(self.old, name), getattr(self.new, name)
            if old != new and set(old) == set(new):
                path = f"{self.path}.{name.strip('_')}"
                text = sentence(f"flow {self.new.id}", "the parties stand in another order")
                yield Change(REWORDS, "party-order", path, text, flow=self.new.id)

    def _content(
        self, recipient: str, fields: Fields, complete: tuple[bool, bool]
    ) -> Iterator[Change]:
        old, new = self.old, self.new
        place = f"flow {new.id} to {recipient}"
        yield from part_changes(old, new, path=self.path, place=place)
        yield from condition_changes(
            old.when,
            new.when,
            path=f"{self.path}.when",
            former=f"{self.former}.when",
            place=place,
        )
        places = Places(f"{self.path}.items", f"{self.former}.items", place)
        yield from item_changes(old.items, new.items, fields, places=places)
        yield from self._consequences(place, complete)

    def _consequences(self, place: str, complete: tuple[bool, bool]) -> Iterator[Change]:
        """Return what follows from several fields together."""
        old, new = self.old, self.new
        if old.delivery == "payload" != new.delivery and any(item.required for item in old.items):
            text = "a notice is given even where a required item is absent or cannot be given"
            yield Change(
                WIDENS,
                "item-not-required",
                f"{self.path}.delivery",
                sentence(place, text),
                runs=True,
            )
        before, after = complete
        if before is not after:
            text = "the legal bases were incomplete, so nothing was shared; now they are complete"
            if before:
                text = "the legal bases are no longer complete, so nothing is shared"
            yield Change(
                NARROWS if before else WIDENS,
                "legal-incomplete" if before else "legal-completed",
                f"{self.path}.legal",
                sentence(place, text),
                runs=True,
            )

    def _is_complete(self) -> tuple[bool, bool]:
        return (
            not flow_faults(self.old_agreement, self.old, self.catalogue),
            not flow_faults(self.new_agreement, self.new, self.catalogue),
        )

    def _fields(self) -> Fields:
        """Return what every revision of every event type concerned has at the items' paths."""
        revisions = [
            revision
            for name in dict.fromkeys(chain(self.old.events, self.new.events))
            if name in self.catalogue
            for revision in self.catalogue.revisions(name)
        ]
        return {
            item.path: tuple(
                one.by_path[item.path] for one in revisions if item.path in one.by_path
            )
            for item in self.new.items
        }
