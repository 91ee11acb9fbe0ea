"""The page that lists the legal rules, for information governance officers (Markdown)."""

from collections.abc import Iterable, Iterator
from typing import Final

from agreements.codes import all_lists
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


def rules_page() -> str:
    """Return the page."""
    stopping = sum(rule.legal for rule in RULES)
    lines = [_HEAD, f"{len(RULES)} rules, {stopping} of which stop a flow.\n"]
    for title, rules in GROUPS.items():
        lines += [f"## {title}", "| code | rule | when broken | source |", "|---|---|---|---|"]
        lines += [*_rows(rules), ""]
    lines += ["## Code lists", "| list | codes | source |", "|---|---|---|"]
    lines += [
        f"| {codes.title} (`{codes.name}`) | {len(codes)} | <{codes.source}> |"
        for codes in all_lists()
    ]
    lines.append(
        "\nEach code has a title and a source, and where they are known the dates between which "
        "it is in force. A code is never removed: a signed agreement may hold it."
    )
    return "\n".join(lines) + "\n"


def _rows(rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        broken = "error, stops the flow" if rule.legal else rule.severity
        source = f"<{rule.source}>" if rule.source.startswith("https:") else rule.source
        yield f"| `{rule.code}` | {rule.title} | {broken} | {source} |"
