"""The templates that come with this product, one for each scenario of everyday sharing."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from agreements.templates.model import Template
from agreements.templates.reading import parse_template

_END: Final = ".yaml"


@cache
def shipped_names() -> tuple[str, ...]:
    """Return the names of the templates; a file is named for its template."""
    files = (resources.files("agreements.templates") / "national").iterdir()
    return tuple(sorted(f.name[: -len(_END)] for f in files if f.name.endswith(_END)))


@cache
def shipped_template(name: str) -> Template:
    """Return a template; raises FileNotFoundError for a name that is not among them."""
    file = resources.files("agreements.templates") / "national" / f"{name}{_END}"
    return parse_template(file.read_text("utf-8"), name=file.name)


def shipped_templates() -> Mapping[str, Template]:
    """Return the templates by name."""
    return {name: shipped_template(name) for name in shipped_names()}


def library_table() -> str:
    """Return the shipped templates in Markdown, as the documentation lists them."""
    lines = ["| name | what it shares | event types |", "|---|---|---|"]
    for template in shipped_templates().values():
        flows = template.document.agreement["flows"]
        types = dict.fromkeys(event for flow in flows for event in flow["events"])
        named = ", ".join(f"`{event}`" for event in types)
        lines.append(f"| `{template.name}` | {template.document.title} | {named} |")
    return "\n".join(lines) + "\n"
