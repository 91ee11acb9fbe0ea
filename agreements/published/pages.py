"""The pages that list the legal rules and the codes, for information governance officers."""

from collections.abc import Iterable, Iterator
from typing import Final

from agreements.codes import Code, CodeList, all_lists
from agreements.law import GROUPS, RULES, Rule

_HEAD: Final = """\
# The rules that an agreement is checked against
<!-- Generated from the rules: concordat agreement rules > docs/using/legal-rules.md -->
`concordat agreement validate FILE` says which of these an agreement breaks, at which line, why, \
and what would mend it. An **error** keeps an agreement from being valid; a **warning** is for \
its author to weigh. A rule that **stops the flow** is also kept by the engine: whoever signed \
the agreement, a flow that breaks it shares nothing.

Whether the answer that an agreement gives is *right* (whether the condition is really met, the \
gateway really covers the disclosure) is for an information governance lead to say. The rules see \
what is missing, contradictory, or not in force.
"""


_CODES_HEAD: Final = """\
# The codes that agreements use
<!-- Generated from the lists: concordat agreement codes > docs/using/codes.md -->
Each list is data (`agreements/codes/`) with its source. A code is in force from its first date \
(inclusive) until its last (exclusive); `concordat agreement validate` tells of a code that an \
agreement relies on outside that time. No date means that none is on record here, not that the \
code was always in force. A code is never removed or given another meaning: a signed agreement \
may hold it.
"""


def codes_page() -> str:
    """Return the page of codes (Markdown)."""
    lines = [_CODES_HEAD]
    for codes in all_lists():
        lines += [f"## {codes.title}", f"List `{codes.name}`. Source: <{codes.source}>", ""]
        lines += ["| code | meaning | in force |", "|---|---|---|"]
        lines += [*(_code(codes, codes[code]) for code in codes), ""]
    return "\n".join(lines).rstrip() + "\n"


def _code(codes: CodeList, code: Code) -> str:
    title = code.title if code.source == codes.source else f"[{code.title}]({code.source})"
    note = f". {code.more['note']}" if "note" in code.more else ""
    name = code.code.removeprefix("https://www.legislation.gov.uk/")
    return f"| `{name}` | {title}{note} | {_time(code)} |"


def _time(code: Code) -> str:
    begins = f"from {code.in_force_from}" if code.in_force_from else ""
    ends = f"until {code.in_force_until}" if code.in_force_until else ""
    return " ".join(filter(None, (begins, ends)))


def rules_page() -> str:
    """Return the page of rules (Markdown)."""
    stopping = sum(rule.legal for rule in RULES)
    lines = [_HEAD, f"{len(RULES)} rules, {stopping} of which stop a flow.\n"]
    for title, rules in GROUPS.items():
        lines += [f"## {title}", "| code | rule | when broken | source |", "|---|---|---|---|"]
        lines += [*_rows(rules), ""]
    lines.append("The codes that agreements use are on [a page of their own](codes.md).")
    return "\n".join(lines) + "\n"


def _rows(rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        broken = "error, stops the flow" if rule.legal else rule.severity
        source = f"<{rule.source}>" if rule.source.startswith("https:") else rule.source
        yield f"| `{rule.code}` | {rule.title} | {broken} | {source} |"
