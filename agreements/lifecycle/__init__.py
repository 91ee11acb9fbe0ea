"""The life of an agreement, from draft to its end: one table of moves, and what follows.

`moves` has the table that code, documentation and tests share, `standing` says in which
state a version is at a moment and what to look after, `asking` whether a statement may be
made now, `page` writes the table for readers. No clock here: the caller passes the time in.
What flows is decided by `agreements.deciding` alone, on the same statements.
"""

from agreements.lifecycle.asking import MoveRefused, check_move
from agreements.lifecycle.moves import MOVES, ROUTING, Move, State, Who
from agreements.lifecycle.standing import Pair, Status, running, state_of
from agreements.lifecycle.tracking import SignOff
from agreements.lifecycle.warning import Warned

__all__ = [
    "MOVES",
    "ROUTING",
    "Move",
    "MoveRefused",
    "Pair",
    "SignOff",
    "State",
    "Status",
    "Warned",
    "Who",
    "check_move",
    "running",
    "state_of",
]
