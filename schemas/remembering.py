"""Answers given before, within a bound."""

from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Remembered(dict[bytes, _T]):
    """Header values already read; forgets all when it is full.

    Types, parties, schemas and days are few, so almost every event hits. The
    bound holds against a sender who makes up new ones.
    """

    def __init__(self, read: Callable[[bytes], _T], *, limit: int = 4096) -> None:
        super().__init__()
        self.read = read
        self.limit = limit

    def __missing__(self, key: bytes) -> _T:
        value = self.read(key)
        if len(self) >= self.limit:
            self.clear()
        self[key] = value
        return value
