"""The schema of a view, its frame, and what it tells of itself."""

import json
from typing import Any

import fastavro
import pytest
from deciding_world import A_PLACEMENT, an_event, decode, encode, opened

from agreements.model import Item
from agreements.views import Disclosure, View
from schemas.catalogue import EventType, shipped

KEY = b"k" * 32
PLACEMENT = shipped().latest("uk.gov.csc.cla-placement.v1")


def _items(*given: Any) -> list[Item]:
    return [Item.model_validate({"path": one} if isinstance(one, str) else one) for one in given]


def _view(*given: Any, event_type: EventType = PLACEMENT, **more: Any) -> View:
    return View.of(event_type, _items(*given), pseudonym_key=KEY, **more)


def _type(*fields: dict[str, Any], **more: Any) -> EventType:
    subject = {"name": "id", "type": "string", "identifier": "ods", "subject": "primary"}
    record = {"type": "record", "name": "x.y.Thing", "eventType": "uk.x.y.v1", "revision": 1}
    return EventType.of(json.dumps(record | more | {"fields": [subject, *fields]}))


def test_a_view_s_schema_keeps_names_documentation_and_order() -> None:
    """In the publisher's order, whatever the order of the items."""
    view = _view("decom", "childId", "sex")
    source = {field["name"]: field for field in PLACEMENT.schema["fields"]}
    assert [field["name"] for field in view.schema["fields"]] == ["childId", "sex", "decom"]
    for field in view.schema["fields"]:
        assert field["doc"] == source[field["name"]]["doc"]
        assert field["sensitivity"] == source[field["name"]]["sensitivity"]
        assert not {"subject", "freeText"} & set(field)
    assert view.schema["doc"] == PLACEMENT.schema["doc"]
    assert view.schema["name"] == PLACEMENT.schema["name"].rpartition(".")[2]


def test_types_are_those_after_the_transform() -> None:
    """And nullable where a value that is there may be withheld."""
    view = _view(
        "childId",
        "sex",
        "rne",
        {"path": "decom", "transform": {"generalise": "year"}},
        {"path": "birthDate", "transform": {"generalise": "age-band"}},
        {"path": "legalStatus", "transform": "mask"},
        {"path": "upn", "transform": "pseudonym"},
        {"path": "placementPostcode", "transform": {"generalise": "postcode-sector"}},
        {"path": "addressConfidential", "transform": "mask"},
        {"path": "dec"},
    )
    found = {field["name"]: field for field in view.schema["fields"]}
    nullable = ["null", "string"]
    assert {name: field["type"] for name, field in found.items()} == {
        "childId": nullable,
        "sex": nullable,
        "rne": "string",
        "decom": ["null", "int"],
        "birthDate": nullable,
        "legalStatus": "string",
        "upn": nullable,
        "placementPostcode": nullable,
        "addressConfidential": "string",
        "dec": ["null", {"type": "int", "logicalType": "date"}],
    }
    assert found["childId"]["default"] is None
    assert "default" not in found["rne"]
    assert found["decom"]["transform"] == "generalise:year"
    assert found["upn"]["transform"] == "pseudonym"
    assert found["childId"]["identifier"] == "la-child-id"
    assert "identifier" not in found["upn"], "a pseudonym is no UPN"
    assert "transform" not in found["childId"]


def test_a_date_and_its_year_never_share_a_fingerprint() -> None:
    """Avro's fingerprint leaves logical types out: the view's name has them in."""
    thing = _type(
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
    )
    exact = _view("day", event_type=thing)
    year = _view({"path": "day", "transform": {"generalise": "year"}}, event_type=thing)
    assert exact.fingerprint != year.fingerprint
    assert exact.schema["namespace"] != year.schema["namespace"]
    assert exact.schema["namespace"].startswith("x.y.view_")
    assert len(exact.schema["namespace"]) == len("x.y.view_") + 12


def test_views_alike_are_one_schema_whatever_else_the_event_has() -> None:
    """A revision that adds what is not shared leaves the recipient's schema as it is."""
    before = _view("id", event_type=_type())
    after = _view("id", event_type=_type({"name": "more", "type": "int"}, revision=2))
    assert before.fingerprint == after.fingerprint
    assert before.schema_json() == after.schema_json()


def test_a_record_without_a_namespace_has_a_view_with_one() -> None:
    """The digest is the namespace then."""
    view = _view("id", event_type=_type(name="Thing"))
    assert view.schema["namespace"].startswith("view_")


def test_a_named_type_is_defined_once_in_a_view() -> None:
    """Where it is first used, also when the event defined it somewhere else."""
    grade = {"type": "enum", "name": "Grade", "symbols": ["A", "B"]}
    thing = _type(
        {"name": "first", "type": grade},
        {"name": "second", "type": ["null", "x.y.Grade"]},
        {"name": "third", "type": "x.y.Grade"},
    )
    view = _view("second", "third", event_type=thing)
    second, third = view.schema["fields"]
    assert second["type"][1]["symbols"] == ["A", "B"]
    assert third["type"] == "x.y.Grade"
    record = {"id": "X", "first": "A", "second": "B", "third": "A"}
    event = opened(thing, encode(thing.schema, record))
    assert decode(view.schema, view.cut(event).framed) == {"second": "B", "third": "A"}


def test_one_record_type_in_two_places_gives_two_types() -> None:
    """Different fields may be let through in each."""
    address = {
        "type": "record",
        "name": "Address",
        "fields": [{"name": "street", "type": "string"}, {"name": "town", "type": "string"}],
    }
    thing = _type(
        {"name": "home", "type": address, "doc": "Where they live."},
        {"name": "work", "type": ["x.y.Address", "null"]},
    )
    view = _view("home.town", "work.street", event_type=thing)
    home, work = view.schema["fields"]
    assert (home["type"]["name"], home["doc"]) == ("Home", "Where they live.")
    assert work["type"][0]["name"] == "Work"
    assert work["type"][1] == "null"
    record: dict[str, Any] = {
        "id": "X",
        "home": {"street": "s", "town": "t"},
        "work": {"street": "u", "town": "v"},
    }
    cut = view.cut(opened(thing, encode(thing.schema, record)))
    assert decode(view.schema, cut.framed) == {"home": {"town": "t"}, "work": {"street": "u"}}
    cut = view.cut(opened(thing, encode(thing.schema, record | {"work": None})))
    assert decode(view.schema, cut.framed) == {"home": {"town": "t"}, "work": None}
    assert cut.withheld == (("work.street", "absent"),)


def test_null_keeps_its_place_in_a_union() -> None:
    """A union that the publisher wrote the other way round stays so, withheld or not."""
    thing = _type(
        {"name": "code", "type": ["string", "null"], "identifier": "urn"},
        {"name": "day", "type": [{"type": "int", "logicalType": "date"}, "null"]},
    )
    year = {"path": "day", "transform": {"generalise": "year"}}
    view = _view("code", year, event_type=thing)
    assert [field["type"][1] for field in view.schema["fields"]] == ["null", "null"]
    assert all("default" not in field for field in view.schema["fields"])
    for code, expected in (("123456", "123456"), ("?", None), (None, None)):
        record = {"id": "X", "code": code, "day": 20_000 if code else None}
        cut = view.cut(opened(thing, encode(thing.schema, record)))
        found = {"code": expected, "day": 2024 if code else None}
        assert decode(view.schema, cut.framed) == found


def test_a_list_that_may_be_null_is_cut_all_the_same() -> None:
    """Null, empty and filled; what is in it keeps its order."""
    row = {
        "type": "record",
        "name": "Row",
        "fields": [
            {"name": "a", "type": "int"},
            {"name": "code", "type": "string", "identifier": "urn"},
            {"name": "b", "type": "string"},
            {
                "name": "inner",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Inner",
                        "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "int"}],
                    },
                },
            },
        ],
    }
    thing = _type({"name": "rows", "type": ["null", {"type": "array", "items": row}]})
    view = _view("rows.code", "rows.b", "rows.inner.y", "id", event_type=thing)
    rows = [
        {"a": 2, "code": "nonsense", "b": "two", "inner": []},
        {"a": 1, "code": "123456", "b": "one", "inner": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]},
    ]
    cut = view.cut(opened(thing, encode(thing.schema, {"id": "X", "rows": rows})))
    assert decode(view.schema, cut.framed) == {
        "id": "X",
        "rows": [
            {"code": None, "b": "two", "inner": []},
            {"code": "123456", "b": "one", "inner": [{"y": 2}, {"y": 4}]},
        ],
    }
    assert cut.disclosure.items == ("rows.code", "rows.b", "rows.inner.y", "id")
    assert cut.withheld == (("rows.code", "invalid-identifier"),)
    for value in (None, []):
        cut = view.cut(opened(thing, encode(thing.schema, {"id": "X", "rows": value})))
        assert decode(view.schema, cut.framed) == {"id": "X", "rows": value}
        assert cut.disclosure.items == ("id",)
        assert [reason for _, reason in cut.withheld] == ["absent"] * 3


def test_a_field_that_may_be_null_in_a_record_that_may_be_absent() -> None:
    """Told as absent in both cases, and there in neither view as anything but null."""
    fields = [
        {"name": "plain", "type": "string"},
        {"name": "maybe", "type": ["null", "string"]},
        {"name": "code", "type": "string", "identifier": "urn"},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
    ]
    record = {"type": "record", "name": "Box", "fields": fields}
    thing = _type({"name": "box", "type": ["null", record]}, {"name": "last", "type": "int"})
    year = {"path": "box.day", "transform": {"generalise": "year"}}
    view = _view("box.plain", "box.maybe", "box.code", year, "last", event_type=thing)
    full = {"plain": "", "maybe": "", "code": "123456", "day": 0}
    shared = full | {"day": 1970}
    for box, expected, absent in (
        (full, shared, set()),
        (full | {"maybe": None}, shared | {"maybe": None}, {"box.maybe"}),
        (full | {"day": None}, shared | {"day": None}, {"box.day"}),
        (None, None, {"box.plain", "box.maybe", "box.code", "box.day"}),
    ):
        cut = view.cut(opened(thing, encode(thing.schema, {"id": "X", "box": box, "last": 7})))
        assert decode(view.schema, cut.framed) == {"box": expected, "last": 7}
        assert dict(cut.withheld) == dict.fromkeys(absent, "absent")


def test_lists_side_by_side_are_each_cut() -> None:
    """And each names its own records by their place."""

    def rows(name: str) -> dict[str, Any]:
        fields = [{"name": "x", "type": "int"}, {"name": "y", "type": "int"}]
        items = {"type": "record", "name": name, "fields": fields}
        return {"name": name.lower(), "type": {"type": "array", "items": items}}

    deep = {
        "type": "record",
        "name": "Deep",
        "fields": [rows("Fourth"), {"name": "z", "type": "int"}],
    }
    thing = _type(rows("First"), rows("Second"), {"name": "third", "type": deep})
    view = _view("first.x", "second.y", "third.fourth.y", "third.z", event_type=thing)
    two = [{"x": 1, "y": 2}, {"x": 3, "y": 4}]
    record = {"id": "X", "first": two, "second": two, "third": {"fourth": two, "z": 5}}
    cut = view.cut(opened(thing, encode(thing.schema, record)))
    assert decode(view.schema, cut.framed) == {
        "first": [{"x": 1}, {"x": 3}],
        "second": [{"y": 2}, {"y": 4}],
        "third": {"fourth": [{"y": 2}, {"y": 4}], "z": 5},
    }
    third = view.schema["fields"][2]["type"]
    names = [third["name"], third["fields"][0]["type"]["items"]["name"]]
    assert names == ["Third", "Third_Fourth"]


def test_disclosures_alike_are_one_object() -> None:
    """What a router derives from one, it can keep by identity."""
    view = _view("childId", "upn")
    same = [view.cut(an_event()).disclosure for _ in range(2)]
    other = view.cut(an_event(upn=None)).disclosure
    assert same[0] is same[1]
    assert other is not same[0]
    assert view.cut(an_event(upn=None)).disclosure is other


def test_more_patterns_than_are_remembered_are_told_all_the_same() -> None:
    """A hostile publisher can make many: they are made again, not kept."""
    view = _view("childId")
    view._disclosures.update({-n: Disclosure((), (), (), None) for n in range(1, 1025)})
    cut = view.cut(an_event())
    assert cut.disclosure.items == ("childId",)
    assert len(view._disclosures) <= 1024


def test_the_first_required_item_that_is_withheld_is_the_one_that_lacks() -> None:
    """In the order of the agreement."""
    view = _view(
        "childId", {"path": "urn", "required": True}, {"path": "rec", "required": True}, "dec"
    )
    assert view.cut(an_event()).disclosure.lacking == "urn"
    assert view.cut(an_event(urn="123456")).disclosure.lacking == "rec"
    assert view.cut(an_event(urn="123456", rec="X1")).disclosure.lacking is None


def test_what_is_told_is_in_the_order_of_the_agreement() -> None:
    """Disclosed, transformed and withheld."""
    view = _view(
        {"path": "upn", "transform": "pseudonym"},
        "nothing",
        {"path": "sex", "transform": "drop"},
        "rec",
        {"path": "rne", "transform": "mask"},
        "childId",
    )
    disclosure = view.cut(an_event()).disclosure
    assert disclosure.items == ("upn", "rne", "childId")
    assert disclosure.transforms == (("upn", "pseudonym"), ("sex", "drop"), ("rne", "mask"))
    assert disclosure.withheld == (("nothing", "not-in-schema"), ("rec", "absent"))


@pytest.mark.parametrize("items", [(), ({"path": "childId", "transform": "drop"},)])
def test_a_view_of_nothing_is_an_empty_record(items: tuple[Any, ...]) -> None:
    """It is a valid Avro value of no bytes."""
    view = _view(*items)
    assert view.cut(an_event()).framed == b"\xc3\x01" + view.fingerprint
    fastavro.parse_schema(json.loads(view.schema_json()))


def test_the_schema_json_is_the_schema() -> None:
    """Compact, and readable as it is."""
    view = _view("id", event_type=_type(doc="Où ?"))
    assert "Où ?" in view.schema_json()
    view = _view("childId")
    assert json.loads(view.schema_json()) == view.schema
    assert ": " not in view.schema_json().replace(A_PLACEMENT["rne"], "").split('"doc"')[0]


def test_items_that_are_not_carried_are_told_and_lack_nothing() -> None:
    """A reference or a notice delivers no item, required or not."""
    view = _view({"path": "childId", "required": True}, "sex", is_carried=False)
    disclosure = view.cut(an_event()).disclosure
    assert disclosure.items == ()
    assert disclosure.withheld == (("childId", "not-carried"), ("sex", "not-carried"))
    assert disclosure.lacking is None
