"""The schemas of views as documents on ``control``, so that recipients can decode."""

from collections.abc import Iterable, Mapping
from typing import Any

import rfc8785

from agreements.views import View
from broker.control import TOPIC
from connectors.streams import Outgoing
from schemas.control import Kind, document_key


def missing_schemas(views: Iterable[View], documents: Mapping[bytes, bytes]) -> list[Outgoing]:
    """Return a document for each view whose schema is not what ``documents`` have."""
    found = {document.key: document for document in map(_document, views)}
    return [one for key, one in found.items() if key and documents.get(key) != one.value]


def _document(view: View) -> Outgoing:
    mark = view.fingerprint.hex()
    document: dict[str, Any] = {"fingerprint": mark, "schema": view.schema}
    return Outgoing(TOPIC, document_key(Kind.SCHEMA, mark), rfc8785.dumps(document))
