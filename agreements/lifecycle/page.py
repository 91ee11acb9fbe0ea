"""The page that tells the life of an agreement, for information governance officers (Markdown)."""

from collections.abc import Iterator
from typing import Final

from agreements.lifecycle.moves import MOVES, ROUTING, Move, State
from agreements.lifecycle.warning import WARNINGS
from agreements.signatures import NEEDS_REASON

_HEAD: Final = """\
# The life of an agreement
<!-- Generated from the table of moves: concordat agreement lifecycle > docs/using/lifecycle.md -->
An agreement goes through states. What moves it is a signed statement of a party, or time; there \
is no other way, and nobody at the broker can move it. Each version of an agreement has a state \
of its own for every pair of a publisher and a recipient: partial sign-off is the norm, and flows \
become live pair by pair. The state of the whole is the furthest that any pair is in.
"""

_BELIEF: Final = """\
## What is believed
1. **A statement counts with the party's own signature**, on the text with the SHA-256 that it \
names. Every statement gives when it was signed and, if it is to count from another time, \
`effective_at`. An acceptance or a resume never counts from before it was signed.
2. **A stop stays a stop.** A revocation or suspension that gives no `effective_at` counts as soon \
as it is known, whatever the signer's clock says. Revocations, rejections and suspensions also \
count under a key that was retired or stolen since; a revocation is final for its version.
3. **A suspension** holds every flow of the agreement, under every version, until the same party \
lifts it by a resume that names it. A resume lifts that one suspension only: sent again, it lifts \
nothing else.
4. **Superseding.** For each pair the highest version that both have accepted and that has started \
takes over, to the millisecond, and an earlier one never comes back: not when the later one ends, \
is revoked, or loses a signature.
5. **One party alone may have less shared.** A version that only narrows what a pair runs under \
takes over as soon as one of the two has accepted it and it has started. If the other one rejects \
it, nothing flows between them. What widens or rewords needs both.
6. **Keys.** What was signed with a key before it was retired goes on counting; what comes with it \
afterwards does not. Of what was signed with a stolen key, only that counts which was there \
before the theft was reported and is dated before the theft: the party signs the rest again with \
its new key, and lifts what a thief suspended.
7. **Capacity.** Where the text asks a party for a capacity (SIRO, Caldicott Guardian, …), only an \
acceptance in one of those counts.
8. **Joining, leaving, assurances.** A party is in from the midnight (UTC) that `joined_on` begins \
with, and out from that of `left_on`. A flow that `requires` an assurance stops when the \
recipient's lapses; its last day is in it.
9. **After the end** no data flows. What was delivered before is with its recipient, who is still \
told when an event that it had is [taken back](../operating/retractions.md), without any item of it.
"""


def lifecycle_page() -> str:
    """Return the page."""
    lines = [_HEAD, "## States", "| state | what becomes of events | reason |", "|---|---|---|"]
    for state, (reason, told) in ROUTING.items():
        code = "" if reason == "permit" else f"`{reason}`"
        lines.append(f"| {state} | {told} | {code} |")
    lines += [
        "\n## Moves",
        "| from | to | by | whose word | what must be true first | effect on routing |",
        "|---|---|---|---|---|---|",
        *(_row(move) for move in MOVES),
        "",
        _reasons(),
        _BELIEF,
        "## Warnings",
        "`concordat agreement status` tells what to look after:\n",
        "| code | when |",
        "|---|---|",
        *(f"| `{code}` | {told} |" for code, told in WARNINGS.items()),
    ]
    return "\n".join(lines) + "\n"


def _row(move: Move) -> str:
    by = "time" if move.says is None else f"`{move.says}`"
    to = "as it was" if move.to is None else move.to.value
    needs = "; ".join(move.needs) or "nothing more"
    return f"| {_states(move.from_)} | {to} | {by} | {move.who} | {needs} | {move.effect} |"


def _states(states: tuple[State, ...]) -> str:
    return "any" if states == tuple(State) else ", ".join(states)


def _reasons() -> str:
    names = list(_quoted())
    return f"A reason is part of what is signed for {', '.join(names[:-1])} and {names[-1]}.\n"


def _quoted() -> Iterator[str]:
    for move in MOVES:
        if move.says in NEEDS_REASON:
            yield f"`{move.says}`"
