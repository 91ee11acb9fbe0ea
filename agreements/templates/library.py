"""The templates that come with this product, one for each scenario of everyday sharing."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from agreements.templates.model import Template
from agreements.templates.reading import read_template
from schemas.catalogue import shipped


@cache
def shipped_templates() -> Mapping[str, Template]:
    """Return the templates by name."""
    folder = resources.files("agreements.templates") / "national"
    files = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".yaml")),
        key=lambda entry: entry.name,
    )
    read = (
        read_template(entry.read_text("utf-8"), name=entry.name, catalogue=shipped())
        for entry in files
    )
    return MappingProxyType({template.name: template for template in read})


def library_table() -> str:
    """Return the shipped templates in Markdown, as the documentation lists them."""
    lines = ["| name | what it shares | event types |", "|---|---|---|"]
    for template in shipped_templates().values():
        flows = template.document.agreement["flows"]
        types = dict.fromkeys(event for flow in flows for event in flow["events"])
        named = ", ".join(f"`{event}`" for event in types)
        lines.append(f"| `{template.name}` | {template.document.title} | {named} |")
    return "\n".join(lines) + "\n"
