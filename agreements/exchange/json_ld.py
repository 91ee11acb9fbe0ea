"""JSON-LD as far as policies in the wild go: prefixes, full addresses, one value or several.

Not a processor of JSON-LD: a remote context is never fetched, and the one of ODRL is known.
"""

from collections.abc import Mapping
from typing import Any

from agreements.exchange.odrl_terms import ODRL, PREFIXES
from agreements.source import Path


class Terms:
    """The names that a document uses, by the prefixes that it has."""

    def __init__(self) -> None:
        self._prefixes = dict(PREFIXES)

    def learn(self, contexts: Any) -> None:
        """Take in the prefixes of a context, or of several."""
        for context in listed(contexts):
            if isinstance(context, Mapping):
                self._prefixes |= {k: v for k, v in context.items() if isinstance(v, str)}

    def fields(self, node: Mapping[str, Any], at: Path) -> dict[str, Any]:
        """Return a node's fields by their short names, each with its place."""
        return {
            {"@id": "uid", "id": "uid", "type": "@type"}.get(short, short): (value, (*at, key))
            for key, value in node.items()
            for short in (self.short(key),)
        }

    def full(self, node: Any) -> Any:
        """Return the full address of a node, or of text that names one."""
        if isinstance(node, Mapping):
            node = next((node[key] for key in ("uid", "@id", "id") if key in node), "")
        prefix, colon, name = str(node).partition(":")
        known = self._prefixes.get(prefix) if colon and not name.startswith("//") else None
        return node if known is None else f"{known}{name}"

    def short(self, name: Any) -> str:
        """Return a word of ODRL as it is, and another by its prefix."""
        full = str(self.full(name))
        if full.startswith(ODRL):
            return full.removeprefix(ODRL)
        for prefix, base in PREFIXES.items():
            if full.startswith(base):
                return f"{prefix}:{full.removeprefix(base)}"
        return full


def literal(value: Any) -> Any:
    """Return a value without its type."""
    return value.get("@value") if isinstance(value, Mapping) else value


def listed(value: Any) -> list[Any]:
    """Return one value or several as a list; nothing as an empty one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
