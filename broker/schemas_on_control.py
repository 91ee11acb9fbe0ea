"""The schemas of views as documents on ``control``, so that recipients can decode."""

from collections.abc import Iterable, Mapping
from typing import Any

import rfc8785

from agreements.views import View
from broker.control import TOPIC
from connectors.streams import Outgoing
from schemas.control import Kind, document_key


def missing_schemas(views: Iterable[View], documents: Mapping[bytes, bytes]) -> list[Outgoing]:
    """Return a document for each view whose schema is not among ``documents``."""
    found = {_key(view): view for view in views}
    return [_document(key, view) for key, view in found.items() if key not in documents]


def _key(view: View) -> bytes:
    return document_key(Kind.SCHEMA, view.fingerprint.hex())


def _document(key: bytes, view: View) -> Outgoing:
    document: dict[str, Any] = {"fingerprint": view.fingerprint.hex(), "schema": view.schema}
    return Outgoing(TOPIC, key, rfc8785.dumps(document))
