"""Payloads in Confluent's framing, from publishers with a schema registry of their own."""

from deciding_world import A_PLACEMENT, COUNCIL, PLACEMENT, encode
from routing_world import RoutingWorld, a_scheme_of, deliveries, sealing_key

from schemas.catalogue import shipped

NUMBER = 17
KIND = shipped().latest(PLACEMENT)


def a_payload(number: int) -> bytes:
    """Frame a placement as Confluent's serialisers do."""
    return b"\x00" + number.to_bytes(4, "big") + encode(KIND.schema, dict(A_PLACEMENT))


def a_world_with_numbers(numbers: dict[str, str]) -> RoutingWorld:
    """Build a scheme that knows the numbers of the council's registry."""
    documents = a_scheme_of()
    documents.party(
        COUNCIL,
        revision=2,
        schema_numbers=numbers,
        sealing_keys=[sealing_key(COUNCIL).public.to_jwk()],
    )
    return RoutingWorld(documents)


def test_a_payload_with_a_number_of_the_publishers_registry_is_delivered() -> None:
    """Design §5: Confluent framing where the publisher uses a schema registry."""
    world = a_world_with_numbers({str(NUMBER): KIND.fingerprint.hex()})
    routed = world.route(world.record(payload=a_payload(NUMBER)))
    assert len(deliveries(routed)) == 1


def test_a_number_that_the_registry_does_not_have_goes_to_quarantine() -> None:
    """What cannot be decoded is not decided."""
    world = a_world_with_numbers({str(NUMBER): KIND.fingerprint.hex()})
    assert world.quarantined(world.record(payload=a_payload(NUMBER + 1))) == ["unknown-schema"]


def test_a_number_for_another_schema_than_the_headers_name_goes_to_quarantine() -> None:
    """The header's schema is bound and signed, so the registry cannot lead elsewhere."""
    other = shipped().latest("uk.nhs.pds.death.v2").fingerprint.hex()
    world = a_world_with_numbers({str(NUMBER): other})
    assert world.quarantined(world.record(payload=a_payload(NUMBER))) == ["headers-disagree"]


def test_without_a_registry_the_framing_is_refused() -> None:
    """A number means nothing from a publisher whose registry the scheme does not know."""
    world = RoutingWorld()
    assert world.quarantined(world.record(payload=a_payload(NUMBER))) == ["bad-framing"]
