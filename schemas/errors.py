"""The errors of the product, arranged by what the caller does next.

ConcordatError
├── ConfigurationError   stop at start-up and tell the operator
├── RejectedInput        the sender's to fix: quarantine, never retry
├── DeliveryError        a service did not answer: retry
└── EvidenceError        the record would no longer be true: never continue

Each has a ``code``, which is in evidence, metrics and documentation and is
never reused. Messages say what was expected and what came, name places and
identifiers of documents, and never hold a value from a payload.
"""

from typing import ClassVar


class ConcordatError(Exception):
    """The root: catch it to report any of our errors in a sentence."""

    code: ClassVar[str] = "error"


class ConfigurationError(ConcordatError):
    """The settings, keys or documents do not allow a start."""

    code = "configuration"


class RejectedInput(ConcordatError):
    """What came in is not acceptable, and will not become so by trying again."""

    code = "rejected"


class DeliveryError(ConcordatError):
    """A service that we depend on did not do its part; trying again may help."""

    code = "delivery"


class EvidenceError(ConcordatError):
    """Going on would make the record untrue."""

    code = "evidence"
