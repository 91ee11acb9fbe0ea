"""What a new version of an agreement changes: what widens, narrows or only rewords.

Flows are compared for each recipient, everything else by the table `terms.TERMS`. What
could be either way counts as widening, and parts that cannot be told apart (a name that
stands twice in a list) are not compared at all.

No decision is made here. The engine asks `only_narrows` when one party alone has
accepted a version, which then takes effect at once.
"""

from collections.abc import Iterator

from agreements.comparing.changes import Change, Comparison
from agreements.comparing.flows import flow_changes
from agreements.comparing.parts import part_changes
from agreements.comparing.weighing import NARROWS
from agreements.model import Agreement
from schemas.catalogue import Catalogue, shipped

__all__ = ["Change", "Comparison", "Narrowing", "compare", "only_narrows"]


def compare(old: Agreement, new: Agreement, *, catalogue: Catalogue | None = None) -> Comparison:
    """Return what changes from ``old`` to ``new``, in sentences.

    ``catalogue`` has the event types that the flows are about; by default those that
    ship. Whether a legal basis is complete, and whether a postcode's transform is
    weaker, depends on it.
    """
    known = shipped() if catalogue is None else catalogue
    return Comparison.of([*part_changes(old, new), *flow_changes(old, new, known)])


def only_narrows(
    old: Agreement,
    new: Agreement,
    publisher: str,
    recipient: str,
    *,
    catalogue: Catalogue | None = None,
) -> bool:
    """Whether ``new`` only takes away from what ``publisher`` shares with ``recipient``.

    Then one of the two may put it into effect alone. True only when everything that
    changes for the pair is a narrowing that the engine decides by, or what each new
    version has (its number, what it follows, its list of changes). A duty that becomes
    stricter and a text that is reworded need both. False when unsure, and when an event
    type of a flow of theirs is not in the ``catalogue`` (by default those that ship).
    """
    return Narrowing(old, new, catalogue=catalogue).holds_for(publisher, recipient)


class Narrowing:
    """`only_narrows` for any pair of two versions, which are compared once."""

    def __init__(
        self, old: Agreement, new: Agreement, *, catalogue: Catalogue | None = None
    ) -> None:
        self._old = old
        self._known = shipped() if catalogue is None else catalogue
        self._is_next = old.id == new.id and old.version < new.version
        changes = compare(old, new, catalogue=self._known).all if self._is_next else ()
        self._more = [
            change
            for change in changes
            if not (change.is_formal or (change.effect is NARROWS and change.runs))
        ]

    def holds_for(self, publisher: str, recipient: str) -> bool:
        """Whether what the two share only becomes less."""
        return (
            self._is_next
            and all(name in self._known for name in _events(self._old, publisher, recipient))
            and not any(change.concerns(publisher, recipient) for change in self._more)
        )


def _events(agreement: Agreement, publisher: str, recipient: str) -> Iterator[str]:
    for flow in agreement.flows:
        if publisher in flow.from_ and recipient in flow.to:
            yield from flow.events
