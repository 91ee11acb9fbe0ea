"""What is published of the model and the rules is what runs, and it is kept in the repository."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from agreement_texts import a_whole_document
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from agreements.duties import Part
from agreements.law import RULES
from agreements.published.fields import FIELDS
from agreements.published.pages import codes_page, rules_page
from agreements.published.schema import json_schema, schema_text
from agreements.source import read_source
from agreements.templates.filling import adopt, bind
from agreements.templates.library import shipped_templates
from broker.demo.agreements import texts

ROOT: Final = Path(__file__).parents[3]
TEMPLATES: Final = shipped_templates()
TEXTS: Final = {
    **texts(),
    "tour": (ROOT / "docs/using/tour/placements.yaml").read_text("utf-8"),
}


def parts(part: type[BaseModel] = Part) -> Iterator[type[BaseModel]]:
    """Yield each class of the model of an agreement."""
    for inner in part.__subclasses__():
        if inner.__module__ in ("agreements.model", "agreements.duties"):
            yield inner
            yield from parts(inner)


def test_the_schema_in_the_repository_is_the_generated_one() -> None:
    """To write it again: concordat agreement schema > agreements/agreement.schema.json."""
    assert (ROOT / "agreements/agreement.schema.json").read_text("utf-8") == schema_text()


def test_the_schema_is_a_json_schema() -> None:
    """It keeps to the dialect that it names."""
    Draft202012Validator.check_schema(json_schema())


def test_every_field_has_words_and_every_word_a_field() -> None:
    """An editor shows what each field is for."""
    fields = {
        part.__name__: {field.alias or name for name, field in part.model_fields.items()}
        for part in parts()
    }
    assert fields == {name: set(words) for name, words in FIELDS.items()}


def test_the_schema_tells_a_code_with_its_title() -> None:
    """Nobody has to know what a letter stands for while they type it."""
    art6 = json_schema()["$defs"]["LegalBasis"]["properties"]["art6"]["anyOf"][0]
    titles = dict(zip(art6["enum"], art6["enumDescriptions"], strict=True))
    assert titles["ea"] == "Recognised legitimate interests"


@pytest.mark.parametrize("name", TEXTS)
def test_every_shipped_agreement_keeps_to_the_schema(name: str) -> None:
    """An editor that has the schema finds nothing wrong with ours."""
    document: Any = read_source(TEXTS[name], name=name).data
    assert [
        error.message for error in Draft202012Validator(json_schema()).iter_errors(document)
    ] == []


def test_the_demos_agreements_lead_editors_to_the_schema() -> None:
    """Whoever opens one to learn from it is helped by their editor."""
    for file in (ROOT / "broker/demo/agreements").glob("*.yaml"):
        hint = file.read_text("utf-8").partition("\n")[0]
        schema = file.parent / hint.removeprefix("# yaml-language-server: $schema=")
        assert schema.resolve() == ROOT / "agreements/agreement.schema.json"


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_agreement_that_adopts_a_national_template_keeps_to_the_schema(name: str) -> None:
    """Nor with what our templates make."""
    template = TEMPLATES[name]
    document = adopt(template, bind(template, template.examples))
    assert not list(Draft202012Validator(json_schema()).iter_errors(document))


def test_an_agreement_with_every_field_keeps_to_the_schema() -> None:
    """The schema knows the whole of the model."""
    Draft202012Validator(json_schema()).validate(a_whole_document())


def test_the_page_of_rules_in_the_repository_is_the_generated_one() -> None:
    """To write it again: concordat agreement rules > docs/using/legal-rules.md."""
    assert (ROOT / "docs/using/legal-rules.md").read_text("utf-8") == rules_page()


def test_the_page_of_rules_has_every_rule_with_its_source() -> None:
    """An officer can look up a code that `validate` printed."""
    page = rules_page()
    for rule in RULES:
        assert f"`{rule.code}`" in page
        assert rule.title in page
        assert rule.source in page


def test_the_page_of_codes_in_the_repository_is_the_generated_one() -> None:
    """To write it again: concordat agreement codes > docs/using/codes.md."""
    assert (ROOT / "docs/using/codes.md").read_text("utf-8") == codes_page()
