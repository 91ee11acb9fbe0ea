"""What follows from the names of a record's headers, whatever their values.

Names repeat from record to record: what a name's place, the order in which values are
signed and the form in which they are bound come to is found out once for each sequence
of names, and kept.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

from schemas.cbor import ARRAY, head, text

MAX_HEADERS: Final = 64
MAX_NAME: Final = 128  # characters of a header's name

Headers = Sequence[tuple[str, bytes]]


class Layout:
    """One sequence of names. ``places`` says where each stands; of a repeated one, the last.

    ``told`` is how a leaf tells the names, and ``order`` puts values into their order
    there; ``is_signable`` is false where no leaf can have these names. ``bound`` is how a
    delivery binds its headers, with ``%b`` for each value (`schemas.sealing`).
    """

    __slots__ = ("bound", "is_signable", "names", "order", "places", "told")

    def __init__(self, names: tuple[str, ...]) -> None:
        n = len(names)
        self.names = names
        self.places: dict[str, int] = {name: place for place, name in enumerate(names)}
        self.is_signable = (
            n <= MAX_HEADERS
            and len(self.places) == n
            and all(len(name) <= MAX_NAME for name in names)
        )
        ordered = sorted(range(n), key=names.__getitem__) if self.is_signable else []
        self.told = b"".join((head(ARRAY, n), *[text(names[place]) for place in ordered]))
        # itemgetter of one place returns no tuple.
        self.order: Callable[[tuple[bytes, ...]], tuple[bytes, ...]] = (
            itemgetter(*ordered) if len(ordered) > 1 else tuple
        )
        self.bound = b"\x00".join([name.encode().replace(b"%", b"%%") + b"=%b" for name in names])


_KEPT: Final = 1024  # of at most some 20 KB each
_layouts: Final[dict[tuple[str, ...], Layout]] = {}


def layout_of(names: tuple[str, ...]) -> Layout:
    """Return the layout of these names, mostly the same one every time."""
    layout = _layouts.get(names)
    if layout is None:
        layout = Layout(names)
        # What cannot be signed may be of any size and is not met again.
        if layout.is_signable:
            if len(_layouts) >= _KEPT:
                _layouts.clear()
            _layouts[names] = layout
    return layout


class Laid:
    """Headers taken apart: the layout of their names, and their values in their order."""

    __slots__ = ("layout", "values")

    def __init__(self, headers: Headers, like: Layout | None = None) -> None:
        """Take ``headers`` apart; ``like`` is a guess, such as the layout of those before."""
        names: tuple[str, ...] = ()
        self.values: tuple[bytes, ...] = ()
        if headers:
            names, self.values = zip(*headers)  # noqa: B905  pairs by their type
        # To compare is cheaper than to look up: names come from the wire, so each has to
        # be hashed anew.
        self.layout = like if like is not None and like.names == names else layout_of(names)
