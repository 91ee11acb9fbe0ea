"""Write the function that cuts a view from the publisher's bytes.

Avro is positional, so a view is mostly stretches of the event as it came. What is
written here, once for each view, is one Python function without loops or look-ups:
runs of permitted fields are copied as slices, identifiers are checked, transforms
re-encode only their own value. Clarity gives way to speed (`design.md` §12: every
event passes here); the schema's names never get into the source, only numbers do.

While it cuts, the function collects what it had to leave out as a number with one
bit for each (item, reason), so that a pattern that was met before costs one look-up.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from agreements.projection import Branch, Elements, Leaf, Part, Projection, leaves
from agreements.transforms import decode_text, encode_long
from schemas.identifiers import PERSONAL, check

if TYPE_CHECKING:
    from agreements.opened import OpenedEvent

ABSENT: Final = "absent"
_REMEMBERED: Final = 8192  # values of a kind whose check is remembered; about 1 MB
_NULL_FIRST: Final = (b"\x00", b"\x02")  # the encoded branches of ["null", T]

# The event, to the view in its frame and the bits of what was left out.
Cutter = Callable[["OpenedEvent"], tuple[bytes, int]]


class Omissions:
    """The bits of a view: which (item, reason) pairs were met, in a number.

    It grows when a reason is met for the first time; a bit never changes its meaning.
    """

    __slots__ = ("_bits", "_pairs")

    def __init__(self) -> None:
        self._bits: dict[tuple[str, str], int] = {}
        self._pairs: list[tuple[str, str]] = []

    def bit(self, path: str, reason: str) -> int:
        """Return the bit of an item and a reason."""
        pair = (path, reason)
        if pair not in self._bits:
            self._bits[pair] = 1 << len(self._pairs)
            self._pairs.append(pair)
        return self._bits[pair]

    def pairs(self, bits: int) -> list[tuple[str, str]]:
        """Return what ``bits`` stands for."""
        return [pair for number, pair in enumerate(self._pairs) if bits >> number & 1]


def write_cutter(projection: Projection, omissions: Omissions, *, frame: bytes) -> Cutter:
    """Return the function that cuts views of this shape, each after ``frame``."""
    writer = _Writer(omissions)
    expressions = [repr(frame), *writer.parts(projection.parts, in_list=False)]
    source = "\n".join(
        [
            *writer.functions,
            "def cut(e):",
            " d = e.data; o = e.offsets; w = 0",
            *writer.lines,
            f" return {_joined(expressions)}, w",
            "",
        ]
    )
    exec(compile(source, "<view>", "exec"), writer.names)  # noqa: S102  our own source, numbers only
    cutter: Cutter = writer.names["cut"]
    return cutter


def _joined(expressions: Sequence[str]) -> str:
    if not expressions:
        return "b''"
    if len(expressions) == 1:
        return expressions[0]
    return f"J(({', '.join(expressions)}))"


class _Writer:
    """The source of one function. ``d`` data, ``o`` offsets, ``w`` bits, ``e`` the event."""

    def __init__(self, omissions: Omissions, names: dict[str, Any] | None = None) -> None:
        self.omissions = omissions
        self.names: dict[str, Any] = {"J": b"".join} if names is None else names
        self.lines: list[str] = []
        self.functions: list[str] = []
        self.indent = 1

    def line(self, text: str) -> None:
        self.lines.append(" " * self.indent + text)

    def name(self, prefix: str, value: object) -> str:
        """Give ``value`` a name in the function's world."""
        name = f"{prefix}{len(self.names)}"
        self.names[name] = value
        return name

    def parts(self, parts: Sequence[Part], *, in_list: bool) -> list[str]:
        """Write the lines of all parts; return what the view is joined from."""
        expressions: list[str] = []
        run: tuple[int, int] | None = None  # first and past-last slot that are copied together
        for part in parts:
            index = part.slot.index
            made = self._part(part, in_list=in_list)
            if made is None and run is not None and run[1] == index:
                run = (run[0], index + 1)
                continue
            if run is not None:
                expressions.append(_slice(run))
            run = (index, index + 1) if made is None else None
            if made is not None:
                expressions.append(made)
        if run is not None:
            expressions.append(_slice(run))
        return expressions

    def _part(self, part: Part, *, in_list: bool) -> str | None:
        """Write one part; return the variable that holds it, None when its bytes are copied."""
        if isinstance(part, Branch):
            return None
        if isinstance(part, Elements):
            return self._elements(part, in_list=in_list)
        if part.shaped is None and part.identifier is None:
            if not in_list:
                self._copied(part)
            return None
        return self._made(part, in_list=in_list)

    def _copied(self, leaf: Leaf) -> None:
        """A value that goes as it is; only its absence is noted."""
        i, slot = leaf.slot.index, leaf.slot
        tests = [f"o[{i}] == o[{i + 1}]"] if slot.parents else []
        if slot.null is not None:
            tests.append(f"d[o[{i}]] == {slot.null[0]}")
        if tests:
            bit = self.omissions.bit(leaf.item.path, ABSENT)
            self.line(f"if {' or '.join(tests)}: w |= {bit}")

    def _made(self, leaf: Leaf, *, in_list: bool) -> str:
        """A value that is checked or shaped before it goes."""
        slot, i = leaf.slot, leaf.slot.index
        made = f"v{i}"
        absent = "" if in_list else f"; w |= {self.omissions.bit(leaf.item.path, ABSENT)}"
        null, present = (slot.null, slot.present) if slot.null is not None else _NULL_FIRST
        wrap = "" if slot.null is None and not leaf.can_be_withheld else f"{present!r} + "
        self.line(f"{made} = d[o[{i}]:o[{i + 1}]]")
        conditions = 0
        if slot.parents:  # an optional record that is not there: nothing, not even a null
            self.line(f"if not {made}: pass{absent}")
            conditions += 1
        if slot.null is not None:
            self.line(f"{'el' * (conditions > 0)}if {made} == {null!r}: pass{absent}")
            conditions += 1
        if conditions:
            self.line("else:")
            self.indent += 1
        value = f"{made}[1:]" if slot.null is not None else made
        withhold = f"{made} = {null!r}"
        if leaf.identifier is not None:
            self._check(leaf, value)
            bit = self.name("B", _bit_of(self.omissions, leaf.item.path))
            self.line(f"if r is not None: {withhold}; w |= {bit}(r)")
            self.line("else:")
            self.indent += 1
        self._shape(leaf, made, value, wrap, withhold)
        self.indent = 1
        return made

    def _check(self, leaf: Leaf, value: str) -> None:
        """Find ``r``, what is wrong with an identifier."""
        assert leaf.identifier is not None  # noqa: S101  for the type checker
        self.line(f"r = {self.name('C', _checker(leaf.identifier))}({value})")

    def _shape(self, leaf: Leaf, made: str, value: str, wrap: str, withhold: str) -> None:
        shaped = leaf.shaped
        if shaped is None:
            # As it came, with the branch that its slot has or that the view adds.
            self.line("pass" if leaf.slot.null is not None else f"{made} = {wrap}{made}")
            return
        time = ", e.occurred_at_us" if shaped.is_timed else ""
        shape = f"{self.name('S', shaped.shape)}({value}{time})"
        if shaped.reason is None:
            self.line(f"{made} = {wrap}{shape}")
            return
        bit = self.omissions.bit(leaf.item.path, shaped.reason)
        self.line(f"s = {shape}")
        self.line(f"if s is None: {withhold}; w |= {bit}")
        self.line(f"else: {made} = {wrap}s")

    def _elements(self, part: Elements, *, in_list: bool) -> str:
        """A list of records: one block with each element cut by a function of its own.

        What is absent is noted outside lists only: one element has it, the next has not.
        """
        inner = _Writer(self.omissions, self.names)
        expressions = inner.parts(part.parts, in_list=True)
        function = self.name("F", None)
        self.functions += [
            *inner.functions,
            f"def {function}(d, o, e):",
            " w = 0",
            *inner.lines,
            f" return {_joined(expressions)}, w",
        ]
        i = part.slot.index
        made = f"v{i}"
        absent = 0
        for leaf in () if in_list else leaves(part.parts):
            absent |= self.omissions.bit(leaf.item.path, ABSENT)
        self.line(f"{made} = d[o[{i}]:o[{i + 1}]]")
        self.line(f"if not {made}: w |= {absent}")
        walk = self.name("W", _elements_of(part))
        self.line("else:")
        self.line(f" {made}, x = {walk}(d, o[{i}], e, {function})")
        self.line(f" w |= {absent} if x < 0 else x")
        return made


def _slice(run: tuple[int, int]) -> str:
    return f"d[o[{run[0]}]:o[{run[1]}]]"


def _bit_of(omissions: Omissions, path: str) -> Callable[[str], int]:
    def bit(reason: str) -> int:
        return omissions.bit(path, reason)

    return bit


@cache
def _checker(kind: str) -> Callable[[bytes], str | None]:
    """Return the check of a kind on encoded values; of what returns, it remembers the latest."""

    def checked(value: bytes) -> str | None:
        return check(kind, decode_text(value))

    return checked if kind in PERSONAL else lru_cache(maxsize=_REMEMBERED)(checked)


_EMPTY_LIST: Final = b"\x00"
_CutElement = Callable[[bytes, list[int], "OpenedEvent"], tuple[bytes, int]]


def _elements_of(
    part: Elements,
) -> Callable[[bytes, int, "OpenedEvent", _CutElement], tuple[bytes, int]]:
    """Return the function that cuts a list; its bits are negative when nothing is in it."""
    slot = part.slot
    present = slot.present

    def cut_list(
        data: bytes, start: int, event: "OpenedEvent", cut: _CutElement
    ) -> tuple[bytes, int]:
        elements = slot.elements(data, start)
        if elements is None:
            assert slot.null is not None  # noqa: S101  for the type checker
            return slot.null, -1
        if not elements:
            return present + _EMPTY_LIST, -1
        bits = 0
        pieces = [present, encode_long(len(elements))]
        for offsets in elements:
            piece, found = cut(data, offsets, event)
            pieces.append(piece)
            bits |= found
        pieces.append(_EMPTY_LIST)
        return b"".join(pieces), bits

    return cut_list
