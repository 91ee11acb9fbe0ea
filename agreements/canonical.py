"""The form of an agreement that is hashed and signed.

The canonical form is JCS (RFC 8785) of the agreement as JSON: the fields that
were written, with the values as they were written, and none that were left out.
So it can be computed from the document alone, in any language, and a later
release with more optional fields does not change the hash of what was signed.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from agreements.model import Agreement

Document = Mapping[str, Any]


def to_document(agreement: Agreement) -> dict[str, Any]:
    """Return the agreement as JSON data, with exactly the fields that were given."""
    return agreement.model_dump(mode="json", by_alias=True, exclude_unset=True)


def canonical_form(agreement: Agreement | Document) -> bytes:
    """Return the bytes of RFC 8785, UTF-8."""
    document = to_document(agreement) if isinstance(agreement, Agreement) else dict(agreement)
    return rfc8785.dumps(document)


def digest(agreement: Agreement | Document) -> str:
    """Return the SHA-256 of the canonical form, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(canonical_form(agreement)).hexdigest()
