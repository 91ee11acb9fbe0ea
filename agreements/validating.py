"""Is this file an agreement that may be signed? Reading and law in one answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agreements.law import validate
from agreements.model import Agreement
from agreements.problems import AgreementInvalid, Problem
from agreements.reading import from_document, read_with_source
from agreements.together import clashes
from schemas.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Validation:
    """What was read, if it could be, and everything found, errors first."""

    agreement: Agreement | None
    problems: tuple[Problem, ...]

    @property
    def is_valid(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return the form of ``agreement validate --json``."""
        return {
            "valid": self.is_valid,
            "problems": [problem.to_json() for problem in self.problems],
        }


def validate_text(text: str | bytes, *, name: str, catalogue: Catalogue) -> Validation:
    """Read and check a YAML or JSON text; raises nothing for a bad one."""
    try:
        agreement, source = read_with_source(text, name=name)
    except AgreementInvalid as invalid:
        return Validation(None, invalid.problems)
    return Validation(agreement, tuple(validate(agreement, catalogue, source)))


def validate_together(
    texts: Iterable[tuple[str, str | bytes]], *, catalogue: Catalogue
) -> list[tuple[str, Validation]]:
    """Read and check texts, each with its name, and then those that could be read together."""
    found = [(name, validate_text(text, name=name, catalogue=catalogue)) for name, text in texts]
    read = [(name, one.agreement) for name, one in found if one.agreement is not None]
    clashing = clashes(read)
    return [
        (
            name,
            replace(
                one,
                problems=(*(clash for of, clash in clashing if of == name), *one.problems),
            ),
        )
        for name, one in found
    ]


def validate_document(
    document: Mapping[str, Any], *, name: str, catalogue: Catalogue
) -> Validation:
    """Read and check JSON data; raises nothing for a bad one. Its problems have no lines."""
    try:
        agreement = from_document(document, name=name)
    except AgreementInvalid as invalid:
        return Validation(None, invalid.problems)
    return Validation(agreement, tuple(validate(agreement, catalogue)))
