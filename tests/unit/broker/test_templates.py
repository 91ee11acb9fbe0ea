"""Templates of a scheme: kept in its register, moved by one officer at a time."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from template_texts import VALUES, a_template, template_data

from agreements.problems import AgreementInvalid
from agreements.templates.filling import adopt, bind
from agreements.templates.life import MoveRefused
from agreements.templates.model import Template
from broker.administration import found_scheme
from broker.scheme import SchemeFolder
from broker.settings import read_settings
from broker.storage import Conflict
from broker.template_diff import diff_of
from broker.template_drafts import UnfitProposal, draft_of
from broker.template_life import UnfitWords, Words, adopters, comment, move, propose
from broker.templates import Entry, TemplateShelf, UnknownTemplate, adopted
from schemas.errors import RejectedInput

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUTHOR, READER = "A. Author, IG lead, Anytown", "R. Reader, IG lead, Othertown"


@pytest.fixture(name="founded", scope="module")
def a_founded_scheme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Found a scheme once: making key files is slow on purpose."""
    folder = tmp_path_factory.mktemp("founded") / "scheme"
    return found_scheme(folder, name="Test", streams="sqlite:streams.db").path


@pytest.fixture(name="scheme")
def a_scheme(founded: Path, tmp_path: Path) -> SchemeFolder:
    """Return a scheme without a register; nothing here needs its streams."""
    folder = shutil.copytree(founded, tmp_path / "scheme")
    return SchemeFolder(read_settings(folder, {}))


def words(by: str = AUTHOR, reason: str | None = None) -> Words:
    """Say who, when and why."""
    return Words.of(by, AT, reason)


def in_version(number: int, **flow: Any) -> Template:
    """Return a version of the test template, with changes to its flow."""
    data = template_data(version=number)
    data["agreement"]["flows"][0] |= flow
    return a_template(data)


def published(scheme: SchemeFolder, template: Template) -> Entry:
    """Take a template through its whole life."""
    entry = move(scheme, propose(scheme, template, words()), "consult", words())
    entry = move(scheme, entry, "assure", words(READER))
    return move(scheme, entry, "publish", words())


def test_a_template_lives_in_the_register_from_proposed_to_withdrawn(scheme: SchemeFolder) -> None:
    """Each state is found again; only what is published is adopted."""
    shelf = TemplateShelf(scheme)
    entry = propose(scheme, a_template(), words())
    for name, by, state in (
        ("consult", AUTHOR, "consulting"),
        ("assure", READER, "assured"),
        ("publish", AUTHOR, "published"),
    ):
        with pytest.raises(UnknownTemplate, match="once it is published"):
            shelf.to_adopt("test")
        entry = move(scheme, entry, name, words(by))
        found = shelf.find("test")
        assert (found.state, found.revision) == (state, entry.revision)
    assert shelf.to_adopt("urn:concordat:templates:test").standing == entry.standing
    withdrawn = move(scheme, entry, "withdraw", words(READER, "A basis was repealed"))
    assert [step.move for step in withdrawn.standing.steps] == [  # type: ignore[union-attr]
        "propose",
        "consult",
        "assure",
        "publish",
        "withdraw",
    ]
    with pytest.raises(UnknownTemplate, match="A basis was repealed"):
        shelf.to_adopt("test")


def test_the_last_version_that_is_published_is_adopted(scheme: SchemeFolder) -> None:
    """One that is still discussed does not stand in its way."""
    published(scheme, in_version(1))
    propose(scheme, in_version(2, max_age="P2D"), words())
    shelf = TemplateShelf(scheme)
    assert shelf.to_adopt("test").template.version == 1
    assert shelf.find("test").template.version == 2
    with pytest.raises(UnknownTemplate, match="version 2 is proposed"):
        shelf.to_adopt("test", 2)


def test_comments_are_kept_with_the_text_that_they_are_on(scheme: SchemeFolder) -> None:
    """Numbered, with who said it when; they outlive a redraft and the life itself."""
    entry = move(scheme, propose(scheme, a_template(), words()), "consult", words())
    entry = comment(scheme, entry, "Why eight years?", words(READER))
    comment(scheme, entry, "Because of the law", words())
    again = move(
        scheme, entry, "redraft", words(AUTHOR, "Two days"), text=in_version(1, max_age="P2D")
    )
    found = TemplateShelf(scheme).find("test")
    assert [(one["number"], one["by"], one["text"]) for one in found.comments] == [
        (1, READER, "Why eight years?"),
        (2, AUTHOR, "Because of the law"),
    ]
    assert found.comments[0]["sha256"] != again.standing.sha256  # type: ignore[union-attr]
    assert found.state == "proposed"


def test_two_who_change_at_once_the_second_has_a_conflict(scheme: SchemeFolder) -> None:
    """Never a lost update: it is told who was first."""
    read = propose(scheme, a_template(), words())
    move(scheme, read, "consult", words())
    with pytest.raises(Conflict, match="Author"):
        move(scheme, read, "withdraw", words(AUTHOR, "Changed my mind"))
    assert TemplateShelf(scheme).find("test").state == "consulting"


def test_two_who_propose_at_once_the_second_has_a_conflict(scheme: SchemeFolder) -> None:
    """Also when neither saw the other's."""
    from broker import template_life

    propose(scheme, a_template(), words())
    entry = TemplateShelf(scheme).find("test")
    with pytest.raises(Conflict):
        template_life._put(scheme, Entry(entry.template, entry.standing), words(READER))


def test_a_comment_on_what_was_changed_meanwhile_is_a_conflict(scheme: SchemeFolder) -> None:
    """It would stand beside a text that its author never saw."""
    read = move(scheme, propose(scheme, a_template(), words()), "consult", words())
    move(scheme, read, "redraft", words(AUTHOR, "Two days"), text=in_version(1, max_age="P2D"))
    with pytest.raises(Conflict):
        comment(scheme, read, "Fine", words(READER))
    assert TemplateShelf(scheme).find("test").comments == ()


def test_a_version_is_proposed_once(scheme: SchemeFolder) -> None:
    """The next one has the next number; a name belongs to one address."""
    propose(scheme, a_template(), words())
    with pytest.raises(MoveRefused, match="make it version 2"):
        propose(scheme, a_template(), words(READER))
    with pytest.raises(MoveRefused, match="choose another"):
        propose(scheme, a_template(template_data(uri="urn:other:test")), words(READER))
    with pytest.raises(MoveRefused, match="choose another"):
        propose(scheme, a_template(template_data(uri="urn:other:marac")), words(READER))


def test_what_comes_with_the_product_has_no_life_here(scheme: SchemeFolder) -> None:
    """A scheme that wants another text proposes a version of its own."""
    entry = TemplateShelf(scheme).find("marac")
    assert entry.state == "shipped"
    with pytest.raises(MoveRefused, match="comes with the product"):
        move(scheme, entry, "withdraw", words(AUTHOR, "x"))
    with pytest.raises(MoveRefused, match="propose it first"):
        comment(scheme, entry, "x", words())
    with pytest.raises(MoveRefused, match="there already"):
        propose(scheme, entry.template, words())


@pytest.mark.parametrize("text", ["", " ", "x" * 4001, "a\u202eb"])
def test_words_that_nobody_can_read_are_refused(scheme: SchemeFolder, text: str) -> None:
    """In names, reasons and comments."""
    with pytest.raises(UnfitWords):
        Words.of(text, AT)
    with pytest.raises(UnfitWords):
        Words.of(AUTHOR, AT, text)
    entry = move(scheme, propose(scheme, a_template(), words()), "consult", words())
    with pytest.raises(UnfitWords):
        comment(scheme, entry, text, words())


def test_a_new_version_lists_its_adopters_and_what_changes_for_each(scheme: SchemeFolder) -> None:
    """In the local values; what is local stays, a new place has to be filled."""
    first = published(scheme, in_version(1))
    local = adopt(first.template, bind(first.template, VALUES)) | {"version": 2}
    own = {**local, "flows": [{**local["flows"][0], "max_age": "P7D"}]}
    older = {**local, "version": 1}
    stranger = {**local, "id": "https://x.example/y", "template": {"uri": "urn:x:y", "version": 1}}
    items = [*in_version(1).document.agreement["flows"][0]["items"], {"path": "sex"}]
    second = published(scheme, in_version(2, items=items, needs_consent=False))
    (found,) = adopters(TemplateShelf(scheme), second, [older, own, stranger])
    told = found.to_json()
    assert (told["agreement"], told["version"], told["template_version"]) == (local["id"], 2, 1)
    assert {change["path"] for change in told["changes"]} == {
        "flows[placements].items[sex]",
        "flows[placements].needs_consent",
    }
    assert {change["recipient"] for change in told["widens"]} == {"east-trust", "west-trust"}
    assert told["narrows"] == []
    assert [one["path"] for one in told["own_departures"]] == ["flows[placements].max_age"]
    assert told["places_to_fill"] == []


def test_a_new_place_is_named_for_each_adopter(scheme: SchemeFolder) -> None:
    """What it widens cannot be said before it is filled."""
    first = published(scheme, in_version(1))
    local = adopt(first.template, bind(first.template, VALUES))
    data = template_data(version=2)
    data["places"]["post"] = {"kind": "title", "text": "Who approved it", "example": "SIRO"}
    data["agreement"]["dpia"]["approved_by"] = "<post>"
    second = published(scheme, a_template(data))
    (found,) = adopters(TemplateShelf(scheme), second, [local])
    assert found.unfilled == ("post",)


def test_bindings_come_from_a_file_and_from_options(tmp_path: Path) -> None:
    """An option goes before the file; a list is written with commas or several options."""
    file = tmp_path / "b.yaml"
    file.write_text(
        "council: oldtown-council\nagreement: https://a.example.gov.uk/1\narea: E08000018\n"
        "notice: https://a.example.gov.uk/n\ntrusts: [x-trust]\n"
    )
    result = adopted(a_template(), ["trusts=a-trust, b-trust", "council=newtown-council"], file)
    assert result.values["trusts"] == ("a-trust", "b-trust")
    assert result.agreement.owner == "newtown-council"
    assert result.to_json()["valid"]
    again = adopted(a_template(), ["trusts=a-trust", "trusts=b-trust"], file)
    assert again.values["trusts"] == ("a-trust", "b-trust")
    with pytest.raises(AgreementInvalid, match="takes one value"):
        adopted(a_template(), ["council=a-b", "council=c-d"], file)
    with pytest.raises(AgreementInvalid, match="place=value"):
        adopted(a_template(), ["council"], file)


def test_values_that_do_not_go_together_are_refused() -> None:
    """An agreement with an error is not made: two parties of one name, an end before its start."""
    given = [f"{name}={value}" for name, value in VALUES.items() if isinstance(value, str)]
    with pytest.raises(AgreementInvalid, match="is already"):
        adopted(a_template(), [*given, "trusts=oldtown-council"], None)


def test_more_values_than_an_agreement_has_room_for_are_refused() -> None:
    """Before anything is made of them."""
    given = [f"{name}={value}" for name, value in VALUES.items() if isinstance(value, str)]
    many = ",".join(f"trust-{number}" for number in range(6000))
    with pytest.raises(AgreementInvalid, match="at most 200 values"):
        adopted(a_template(), [*given, f"trusts={many}"], None)
    some = ",".join(f"trust-{number}" for number in range(200))
    assert len(adopted(a_template(), [*given, f"trusts={some}"], None).agreement.parties) == 201


@pytest.mark.parametrize("body", [{}, {"text": 1}, {"text": "a: b", "life": {}}, {"text": "x"}])
def test_a_register_that_was_tampered_with_is_told_and_not_believed(
    scheme: SchemeFolder, body: dict[str, Any]
) -> None:
    """In a sentence that names the document."""
    with scheme.store.transaction(by="nobody") as transaction:
        transaction.put("template", "urn:x:y", 1, body, expected_revision=0)
    with pytest.raises(RejectedInput, match="urn:x:y version 1 in the register"):
        TemplateShelf(scheme).entries()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xff\xfe\x00", "not-utf-8"),
        (b"council: a-b\ncouncil: c-d\n", "duplicate-key"),
        (b"a: &x [1]\nb: *x\n", "anchor"),
        (b"council: " + b"a" * 10_000_000, "too-large"),
        (b"- council\n", "not-a-mapping"),
        (b"council: [a-b\n", "not-yaml"),
        (b"", "not-a-mapping"),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_told_by_its_problem(
    tmp_path: Path, content: bytes, code: str
) -> None:
    """As bindings, as a draft and as an agreement to compare: the same reader everywhere."""
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    for use in (
        lambda: adopted(a_template(), [], file),
        lambda: draft_of(file, author=AUTHOR),
        lambda: diff_of(TemplateShelf(None), file, None, []),
    ):
        with pytest.raises(AgreementInvalid) as refused:
            use()
        assert code in {problem.code for problem in refused.value.problems}
        assert all(problem.line for problem in refused.value.problems)


def test_a_wrong_line_of_a_bindings_file_is_named(tmp_path: Path) -> None:
    """With the line and what would mend it."""
    file = tmp_path / "b.yaml"
    file.write_text("council: Oldtown\nx: y\n")
    with pytest.raises(AgreementInvalid) as refused:
        adopted(a_template(), [], file)
    found = {problem.path: problem for problem in refused.value.problems}
    assert found["council"].line == 1
    assert found["x"].line == 2
    assert found["trusts"].code == "missing-binding"


def test_a_file_without_a_template_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    """Nor one whose template is not here."""
    template = a_template()
    shelf = TemplateShelf(None)
    file = tmp_path / "a.yaml"
    document = adopt(template, bind(template, VALUES))
    _write(file, document)
    with pytest.raises(UnknownTemplate, match="there is no template"):
        diff_of(shelf, file, None, [])
    _write(file, {key: value for key, value in document.items() if key != "template"})
    with pytest.raises(UnknownTemplate, match="names no template"):
        diff_of(shelf, file, None, [])


def test_a_local_text_is_compared_with_the_version_it_was_made_from(
    scheme: SchemeFolder, tmp_path: Path
) -> None:
    """And told that there is a later one."""
    first = published(scheme, in_version(1))
    published(scheme, in_version(2, max_age="P2D"))
    file = tmp_path / "a.yaml"
    _write(file, adopt(first.template, bind(first.template, VALUES)))
    found = diff_of(TemplateShelf(scheme), file, None, [])
    assert (found.adopted_version, found.latest) == (1, 2)
    assert found.to_json()["departures"] == []
    against = diff_of(TemplateShelf(scheme), file, 2, []).to_json()
    assert [one["path"] for one in against["departures"]] == ["flows[placements].max_age"]
    assert against["widens"]
    with pytest.raises(AgreementInvalid, match="does not fit a place"):
        diff_of(TemplateShelf(scheme), file, None, ["area=Oldtown"])


def test_a_draft_is_a_template_or_a_local_agreement(tmp_path: Path) -> None:
    """An agreement needs an address for its template, and parts for parties that it has."""
    template = a_template()
    file = tmp_path / "t.yaml"
    file.write_text(template.text)
    assert draft_of(file, author=AUTHOR).document == template.document
    with pytest.raises(UnfitProposal, match="is a template"):
        draft_of(file, author=AUTHOR, title="Mine")
    _write(file, adopt(template, bind(template, VALUES)))
    with pytest.raises(UnfitProposal, match="give the new template an address"):
        draft_of(file, author=AUTHOR)
    for part in ("x", "nobody=x", "oldtown-council=Not A Name"):
        with pytest.raises(UnfitProposal, match="expected PARTY=PART"):
            draft_of(file, author=AUTHOR, uri="urn:a:b", parts=[part])
    made = draft_of(file, author=AUTHOR, uri="urn:a:b", parts=["oldtown-council=home-council"])
    assert "home-council" in made.document.places


def _write(file: Path, document: Any) -> None:
    from agreements.templates.writing import to_yaml

    file.write_text(to_yaml(document))
