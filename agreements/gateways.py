"""Legal gateways by their legislation.gov.uk address: title, Act and section.

The address is the identifier (as in the draft sector standard), so a gateway that
is not in the list still works; it is then described by what its address says.
"""

import re
from dataclasses import dataclass
from typing import Final

from agreements.codes import code_list

# Type of legislation, year, number, then what in it.
_ADDRESS: Final = re.compile(
    r"https://www\.legislation\.gov\.uk/(?P<type>ukpga|uksi|asp|asc|anaw|wsi|ssi|nia|nisr|eur|ukla)"
    r"/(?P<year>\d{4})/(?P<number>\d+)(?P<rest>(?:/[A-Za-z0-9]+)*)"
)
_KINDS: Final = {"ukpga": "Act", "uksi": "Statutory Instrument", "eur": "retained EU law"}


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway in words. ``kind`` is mandatory, permissive, implied, restriction or offence."""

    address: str
    title: str
    act: str
    section: str
    kind: str | None


def is_legislation(address: str) -> bool:
    """Whether the address is one of a piece of legislation."""
    return _ADDRESS.fullmatch(address) is not None


def gateway(address: str) -> Gateway:
    """Return the gateway in words; one outside the list is named after its address."""
    codes = code_list("gateways")
    if address in codes:
        code = codes[address]
        return Gateway(
            address, code.title, code.more["act"], code.more["section"], code.more["kind"]
        )
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return Gateway(address, address, address, "", None)
    act = f"{_KINDS.get(match['type'], match['type'])} {match['year']} No. {match['number']}"
    section = " ".join(match["rest"].strip("/").split("/"))
    return Gateway(address, ", ".join(filter(None, (act, section))), act, section, None)


def title_of(address: str) -> str:
    """Return a gateway's Act, section and heading."""
    return gateway(address).title
