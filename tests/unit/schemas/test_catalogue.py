"""Event types: what a schema must say, and what the rules can ask."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas.avro import fingerprint, parse
from schemas.catalogue import BadSchema, Catalogue, EventType, Sensitivity, UnknownSchema, shipped
from schemas.listing import types_page

CHILD = {"name": "childId", "type": "string", "identifier": "la-child-id", "subject": "primary"}


def a_schema(*fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An event type's schema with a child and these fields."""
    return {
        "type": "record",
        "name": "uk.gov.example.V1",
        "eventType": "uk.gov.example.v1",
        "revision": 1,
        "fields": [CHILD, *fields],
        **changes,
    }


def an_event_type(*fields: dict[str, Any], **changes: Any) -> EventType:
    """The same, read."""
    return EventType.of(json.dumps(a_schema(*fields, **changes)))


def refusal(*fields: dict[str, Any], **changes: Any) -> str:
    """Return the message with which a schema is refused."""
    with pytest.raises(BadSchema) as refused:
        an_event_type(*fields, **changes)
    return str(refused.value)


def test_twenty_event_types_are_shipped() -> None:
    """Each with its scanner and a fingerprint of its own."""
    catalogue = shipped()
    assert catalogue.names == (
        "uk.fire.safeandwell.outcome.v1",
        "uk.fire.safeandwell.referral.v1",
        "uk.gov.asc.cld-event.v1",
        "uk.gov.asc.safeguarding-concern.v1",
        "uk.gov.csc.cla-placement.v1",
        "uk.gov.csc.missing-episode.v1",
        "uk.gov.csc.return-interview.v1",
        "uk.gov.familyhelp.outcome.v1",
        "uk.gov.hmpps.prisoner.released.v1",
        "uk.gov.housing.duty-to-refer.v1",
        "uk.gov.housing.homelessness-duty.v1",
        "uk.gov.marac.case.v1",
        "uk.gov.tellusonce.death.v1",
        "uk.nhs.adw.assessment-notice.v1",
        "uk.nhs.adw.discharge-notice.v1",
        "uk.nhs.adw.notice-response.v1",
        "uk.nhs.adw.withdrawal-notice.v1",
        "uk.nhs.cpis.access.v1",
        "uk.nhs.pds.change-of-address.v1",
        "uk.nhs.pds.death.v2",
    )
    assert len({one.fingerprint for one in catalogue}) == 20
    for one in catalogue:
        assert catalogue.by_fingerprint(one.fingerprint) is one
        assert catalogue.latest(one.name) is one
        assert one.name in catalogue


@pytest.mark.parametrize("one", tuple(shipped()), ids=lambda one: one.name)
def test_a_shipped_type_documents_and_classifies_every_field(one: EventType) -> None:
    """Nobody has to guess what a field is, or how it must be treated."""
    assert one.doc
    for field in one.fields:
        assert field.doc, field.path
        assert field.doc.endswith("."), field.path
        if field.identifier not in {None, "gss", "ods", "urn"}:
            assert field.sensitivity, field.path
        if field.free_text:
            assert field.sensitivity, field.path


@pytest.mark.parametrize("one", tuple(shipped()), ids=lambda one: one.name)
def test_a_shipped_types_optional_fields_may_be_left_out(one: EventType) -> None:
    """Optional is a union that begins with null, with null as the default."""
    for record in _records(one.schema):
        for field in record["fields"]:
            if isinstance(field["type"], list):
                assert field["type"][0] == "null", field["name"]
                assert field["default"] is None, field["name"]


def _records(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [record for branch in schema for record in _records(branch)]
    if not isinstance(schema, dict):
        return []
    inner = [schema.get("items"), *(field["type"] for field in schema.get("fields", ()))]
    return [*([schema] if "fields" in schema else []), *_records(inner)]


def test_a_shipped_file_is_named_for_its_type() -> None:
    """One file a revision; the name is the type's."""
    from importlib import resources

    folder = resources.files("schemas") / "types"
    for entry in folder.iterdir():
        document = json.loads(entry.read_text(encoding="utf-8"))
        assert entry.name == f"{document['eventType']}.avsc"


def test_the_page_of_event_types_is_the_generated_one() -> None:
    """To write it again: print ``schemas.listing.types_page()`` into it."""
    page = Path(__file__).parents[3] / "docs" / "using" / "event-types.md"
    assert page.read_text(encoding="utf-8") == types_page()


def test_fields_are_listed_by_dotted_path() -> None:
    """Nested records and the elements of arrays of records have paths of their own."""
    duty = shipped().latest("uk.gov.housing.homelessness-duty.v1")
    assert duty.field("mainApplicant.address.postcode").identifier == "postcode"
    assert duty.field("members.relationship").within == "members"
    assert duty.field("members.relationship").slot == duty.field("members").slot
    assert duty.field("members").within is None
    with pytest.raises(KeyError):
        duty.field("mainApplicant")


def test_subjects_are_listed_primary_first() -> None:
    """By these an event is found again; the primary one quarantines when it is wrong."""
    placement = shipped().latest("uk.gov.csc.cla-placement.v1")
    assert placement.primary.path == "childId"
    assert [field.path for field in placement.subjects] == ["childId", "nhsNumber", "upn"]


def test_a_field_inherits_the_sensitivity_around_it() -> None:
    """A carer's telephone number is third-party data, whatever the field itself says."""
    carer = {"type": "record", "name": "Carer", "fields": [{"name": "phone", "type": "string"}]}
    optional = {"name": "carer", "type": ["null", carer], "sensitivity": ["third-party"]}
    carers = {
        "name": "carers",
        "type": {"type": "array", "items": "uk.gov.example.Carer"},
        "sensitivity": ["personal", "third-party"],
    }
    one = an_event_type(optional, carers)
    assert one.field("carer.phone").sensitivity == {Sensitivity.THIRD_PARTY}
    assert one.field("carers.phone").sensitivity == {"personal", "third-party"}


def test_an_events_bytes_are_scanned_as_the_type_says() -> None:
    """A field's slot is where its bytes are."""
    one = shipped().latest("uk.nhs.cpis.access.v1")
    record = {
        "nhsNumber": "9434765919", "siteOds": "RFR01", "careSettingType": "ED",
        "planType": "LAC", "localAuthority": "E08000018", "contactForFollowUp": "Sister in charge",
        "sensitiveSetting": False, "attendedAt": 1_790_000_000_000, "dataRef": None,
    }  # fmt: skip
    out = io.BytesIO()
    fastavro.schemaless_writer(out, one.schema, record)
    data = out.getvalue()
    cuts = one.scanner.scan(data)
    slot = one.scanner.slots[one.field("siteOds").slot]
    assert slot.text(data, cuts[slot.index], cuts[slot.index + 1]) == "RFR01"


@pytest.mark.parametrize(
    ("field", "about"),
    [
        ({"name": "x", "type": "string", "identifier": "passport"}, '"identifier" is not one of'),
        ({"name": "x", "type": "long", "identifier": "uprn"}, "must be a string"),
        ({"name": "x", "type": "string", "subject": "also"}, 'needs an "identifier"'),
        ({"name": "x", "type": "string", "identifier": "upn", "subject": "main"}, '"subject" must'),
        ({"name": "x", "type": "string", "sensitivity": ["secret"]}, '"sensitivity" must be'),
        ({"name": "x", "type": "string", "sensitivity": 7}, '"sensitivity" must be'),
        ({"name": "x", "type": "string", "freeText": "yes"}, '"freeText" must'),
        ({**CHILD, "name": "x"}, "exactly one field"),
    ],
)
def test_attributes_that_do_not_fit_are_refused(field: dict[str, Any], about: str) -> None:
    """A misspelt attribute would be a rule that silently does not hold."""
    assert about in refusal(field)


def test_attributes_of_a_leaf_are_refused_on_a_record() -> None:
    """An identifier is a text, not a group of fields."""
    inner = {"type": "record", "name": "P", "fields": [{"name": "y", "type": "string"}]}
    for attribute in ({"identifier": "upn"}, {"freeText": True}, {"subject": "also"}):
        assert "belongs on the fields inside" in refusal({"name": "x", "type": inner, **attribute})


@pytest.mark.parametrize("event_type", [None, "missing", "uk.gov.example", "UK.gov.example.v1"])
def test_an_event_type_is_a_reversed_domain_with_a_version(event_type: Any) -> None:
    """So that two parties never mean different things by one name."""
    assert '"eventType" must be' in refusal(eventType=event_type)


@pytest.mark.parametrize("revision", [None, 0, -1, "1", True])
def test_a_revision_is_a_number_from_one(revision: Any) -> None:
    """Agreements name ranges of them."""
    assert '"revision" must be' in refusal(revision=revision)


def test_the_primary_subject_is_always_there() -> None:
    """Not optional, not one of many, and there is one."""
    optional = {**CHILD, "type": ["null", "string"]}
    for child in (optional, {"name": "childId", "type": "string"}):
        assert "exactly one field" in refusal(fields=[child])
    many = {"type": "array", "items": {"type": "record", "name": "P", "fields": [CHILD]}}
    assert "exactly one field" in refusal(fields=[{"name": "children", "type": many}])


def test_a_document_that_is_not_json_is_refused_by_name() -> None:
    """The message says which file."""
    with pytest.raises(BadSchema, match=r"^broken\.avsc: not JSON"):
        EventType.of("{", name="broken.avsc")
    with pytest.raises(BadSchema, match=r"^x\.avsc: schema\.a: "):
        EventType.of(json.dumps(a_schema({"name": "a", "type": "strng"})), name="x.avsc")


def test_the_latest_revision_is_the_highest() -> None:
    """In whatever order they are read."""
    second = a_schema({"name": "sex", "type": ["null", "string"], "default": None}, revision=2)
    catalogue = Catalogue.of([json.dumps(second), json.dumps(a_schema())])
    assert catalogue.latest("uk.gov.example.v1").revision == 2
    assert [one.revision for one in catalogue.revisions("uk.gov.example.v1")] == [1, 2]


def test_two_schemas_that_look_alike_on_the_wire_are_refused() -> None:
    """The canonical form leaves out documentation and attributes, so they share a fingerprint."""
    with pytest.raises(BadSchema, match="cannot be told"):
        Catalogue.of([json.dumps(a_schema()), json.dumps(a_schema(revision=2, doc="new"))])


def test_a_revision_is_there_once() -> None:
    """Two schemas with one number would make an agreement's range mean two things."""
    other = a_schema({"name": "sex", "type": "string"})
    with pytest.raises(BadSchema, match="revision 1 is there twice"):
        Catalogue.of([json.dumps(a_schema()), json.dumps(other)])


def test_what_is_not_in_the_catalogue_is_an_unknown_schema() -> None:
    """Rejected input: the publisher's to fix."""
    with pytest.raises(UnknownSchema):
        shipped().by_fingerprint(b"12345678")
    with pytest.raises(UnknownSchema):
        shipped().latest("uk.gov.example.v1")
    with pytest.raises(UnknownSchema):
        shipped().revisions("uk.gov.example.v1")


def test_the_fingerprint_is_that_of_the_schema() -> None:
    """As every Avro library computes it."""
    one = an_event_type()
    assert one.fingerprint == fingerprint(parse(a_schema()))
    assert {one: 1}[one] == 1
