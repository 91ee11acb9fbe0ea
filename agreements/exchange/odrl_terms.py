"""Words of ODRL 2.2 and W3C DPV, and the profile that says what theirs do not.

ODRL Information Model 2.2 and Vocabulary 2.2 (www.w3.org/TR/odrl-model, odrl-vocab), DPV
(w3id.org/dpv). The profile ``urn:concordat:odrl`` adds left operands: ``item/PATH`` and
``present/PATH`` test an item of an event, ``age`` is the time from occurred to decided,
``assurance`` what a recipient holds, ``items`` which items of an event are the asset.
"""

from collections.abc import Mapping
from typing import Any, Final

ODRL: Final = "http://www.w3.org/ns/odrl/2/"
CONTEXT: Final = "http://www.w3.org/ns/odrl.jsonld"
PROFILE: Final = "urn:concordat:odrl"
PREFIXES: Final[Mapping[str, str]] = {
    "concordat": f"{PROFILE}:",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "odrl": ODRL,
    "owl": "http://www.w3.org/2002/07/owl#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
PARTY: Final = "urn:concordat:party:"
EVENT: Final = "urn:concordat:event:"

# ODRL Vocabulary 2.2 §4: the actions of the common vocabulary and of the core.
ACTIONS: Final = frozenset(
    {
        *("acceptTracking", "aggregate", "annotate", "anonymize", "archive", "attribute"),
        *("compensate", "concurrentUse", "delete", "derive", "digitize", "display", "distribute"),
        *("ensureExclusivity", "execute", "extract", "give", "grantUse", "include", "index"),
        *("inform", "install", "modify", "move", "nextPolicy", "obtainConsent", "play"),
        *("present", "print", "read", "reproduce", "reviewPolicy", "sell", "stream"),
        *("synchronize", "textToSpeech", "transfer", "transform", "translate", "uninstall"),
        *("use", "watermark"),
    }
)
# Our operators of a condition, and ODRL's; `present` has an operand of its own.
OPERATORS: Final[Mapping[str, str]] = {
    "equals": "eq",
    "in": "isAnyOf",
    "not_in": "isNoneOf",
    "before": "lt",
    "after": "gteq",
}
ROLES: Final[Mapping[str, str]] = {
    "controller": "dpv:DataController",
    "joint-controller": "dpv:JointDataControllers",
    "processor": "dpv:DataProcessor",
    "sub-processor": "dpv:DataSubProcessor",
}


def typed(value: str, kind: str) -> dict[str, str]:
    """Return a literal of an XML Schema type."""
    return {"@value": value, "@type": f"xsd:{kind}"}


def duration(text: str) -> dict[str, str]:
    """Return a duration; XML Schema has no weeks (ISO 8601 has), so those have our type."""
    weeks = "W" in text
    return {"@value": text, "@type": "concordat:duration"} if weeks else typed(text, "duration")


def is_action(text: Any) -> bool:
    """Whether text such as ``odrl:read`` names an action of ODRL."""
    return isinstance(text, str) and text.removeprefix("odrl:") in ACTIONS and ":" in text
