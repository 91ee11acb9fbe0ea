"""Write an adopted agreement as YAML, with the comments that the template's author left.

INVARIANT: the text reads back as exactly the data that `filling.adopt` gives; where the
comments cannot be kept without changing that, they go.
"""

import io
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from agreements.problems import AgreementInvalid
from agreements.source import read_source
from agreements.templates.filling import PLACE, adopt, expansions, fill_text
from agreements.templates.model import LICENCE_TEXT, Bound, Template
from agreements.values import is_day

_WIDTH: Final = 96
_INDENT: Final = 2


def agreement_text(template: Template, values: Mapping[str, Bound]) -> str:
    """Return the YAML of the agreement that the bindings make of the template."""
    document = adopt(template, values)
    text = _head(template) + (_with_comments(template, values) or "")
    return text if _says(text, document) else _head(template) + to_yaml(document)


def bindings_text(template: Template) -> str:
    """Return a file of bindings to fill in: every place, explained, with its example."""
    lines = [
        f"# Bindings of {template.uri} version {template.version}: {template.document.title}.",
        "# Fill in each value after the colon; take the # away.",
    ]
    for name, place in template.document.places.items():
        default = "" if place.default is None else f" Default: {place.default}."
        some = " One or more." if place.many else ""
        lines.append(f"\n# {' '.join(place.text.split())}.{some}{default} For example:")
        lines.append(f"# {name}: {_flow(place.sample)}")
    return "\n".join(lines) + "\n"


def to_yaml(data: Any) -> str:
    """Return plain data as YAML in block style."""
    return _dumped(data)


def _head(template: Template) -> str:
    lines = [
        f"# Adopted from the template {template.uri} version {template.version}.",
        f"# {LICENCE_TEXT}.",
    ]
    if template.document.to_confirm:
        lines.append("# An information governance lead confirms before this is signed:")
        lines += [
            f"# - {entry.flow}: {' '.join(entry.text.split())}"
            for entry in template.document.to_confirm
        ]
    return "\n".join(lines) + "\n"


def _with_comments(template: Template, values: Mapping[str, Bound]) -> str | None:
    body = _body(template.text)
    if body is None:
        return None
    try:
        loaded = _yaml().load(body)
    except YAMLError:
        return None
    if not isinstance(loaded, CommentedMap):
        return None
    filled = _filled(loaded, values)
    if "title" in filled:
        at = list(filled).index("title") + 1
        filled.insert(at, "template", dict(template.link))
    return _dumped(filled)


def _body(text: str) -> str | None:
    """Return the text under ``agreement:``, when that is the last field and indented by two."""
    _, found, below = text.partition("\nagreement:\n")
    lines = below.splitlines()
    if not found or any(line[:_INDENT].strip() for line in lines):
        return None
    return "\n".join(line[_INDENT:] for line in lines) + "\n"


def _filled(node: Any, values: Mapping[str, Bound]) -> Any:
    """Fill the places in ruamel's data, comments kept."""
    if isinstance(node, CommentedMap):
        for key in node:
            node[key] = _filled(node[key], values)
        return node
    if isinstance(node, CommentedSeq):
        return _filled_list(node, values)
    if isinstance(node, str) and PLACE.search(node):
        text = fill_text(node, values)
        return date.fromisoformat(text) if is_day(text) else text  # a date needs no quotes
    return node  # with its quotes and folds


def _filled_list(node: CommentedSeq, values: Mapping[str, Bound]) -> CommentedSeq:
    for index in reversed(range(len(node))):
        element = node[index]
        *others, last = expansions(element, values)
        # A comment after an element hangs on it: the element itself comes last.
        copies = [_filled(_copy(element), one) for one in others]
        node[index] = _filled(element, last)
        for copy in reversed(copies):
            node.insert(index, copy)
    return node


def _copy(node: Any) -> Any:
    """Copy data without its comments, but with its layout."""
    copied: CommentedMap | CommentedSeq
    if isinstance(node, CommentedMap):
        copied = CommentedMap((key, _copy(value)) for key, value in node.items())
    elif isinstance(node, CommentedSeq):
        copied = CommentedSeq(_copy(value) for value in node)
    else:
        return node
    if node.fa.flow_style():
        copied.fa.set_flow_style()
    return copied


def _says(text: str, document: Mapping[str, Any]) -> bool:
    try:
        return bool(read_source(text, name="the agreement").data == document)
    except AgreementInvalid:
        return False


def _yaml() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dumped(data: Any) -> str:
    out = io.StringIO()
    _yaml().dump(data, out)
    return out.getvalue()


def _flow(value: Bound) -> str:
    return value if isinstance(value, str) else f"[{', '.join(value)}]"
