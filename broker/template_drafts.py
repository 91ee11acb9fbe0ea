"""A file as the template that is to be proposed: a template's text, or a local agreement."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agreements.law import validate
from agreements.problems import AgreementInvalid
from agreements.reading import read_with_source
from agreements.source import read_source
from agreements.templates.model import Template
from agreements.templates.proposing import Header, proposed
from agreements.templates.reading import is_template, read_template
from agreements.values import Name, Uri
from schemas.catalogue import shipped
from schemas.errors import RejectedInput

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_URI: TypeAdapter[str] = TypeAdapter(Uri)


class UnfitProposal(RejectedInput):
    """What a proposal needs beside the text is missing or does not fit."""

    code = "unfit-proposal"


def draft_of(
    file: Path,
    *,
    author: str,
    uri: str | None = None,
    title: str | None = None,
    parts: Sequence[str] = (),
) -> Template:
    """Return the template in ``file``, or one made of the local agreement in it.

    ``parts`` are ``party=part`` texts. Raises AgreementInvalid, UnfitProposal.
    """
    text = file.read_bytes()
    if is_template(read_source(text, name=str(file)).data):
        if uri or title or parts:
            raise UnfitProposal(
                f"{file} is a template: --uri, --title and --part are for an agreement"
            )
        return read_template(text, name=str(file), catalogue=shipped())
    if uri is None or not _fits(_URI, uri):
        raise UnfitProposal(
            f"{file} is an agreement: give the new template an address, such as "
            "--uri urn:concordat:templates:NAME"
        )
    agreement, source = read_with_source(text, name=str(file))
    errors = [p for p in validate(agreement, shipped(), source) if p.severity == "error"]
    if errors:
        raise AgreementInvalid(str(file), errors)
    header = Header(uri, author, title)
    return proposed(agreement, header, shipped(), _parts(parts, [p.id for p in agreement.parties]))


def _parts(parts: Sequence[str], parties: Sequence[str]) -> dict[str, str]:
    found = {}
    for given in parts:
        party, equals, part = given.partition("=")
        if not equals or party not in parties or not _fits(_NAME, part):
            raise UnfitProposal(
                f"--part: expected PARTY=PART with a party of the agreement"
                f" ({', '.join(parties)}) and a part such as acute-trust"
            )
        found[party] = part
    return found


def _fits(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True
