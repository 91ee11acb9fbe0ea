"""What the Kafka client is made with, from what an operator said."""

import ssl
from pathlib import Path

import pytest
from services.secured_kafka import Certificates

from connectors.streams import open_streams
from connectors.streams.security import Security, UnusableSecurity
from schemas.errors import ConfigurationError

SECRET = "correct-horse-battery-staple"  # noqa: S105  what must not be shown


@pytest.fixture(scope="module", name="made")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return an authority and the certificate of a client."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_nothing_said_is_in_clear_and_as_nobody() -> None:
    """As a broker on one's own machine is reached."""
    assert Security().to_client_options() == {"security_protocol": "PLAINTEXT"}


def test_sasl_gives_name_password_and_mechanism() -> None:
    """SCRAM-SHA-512 unless another is said; no TLS without being told so."""
    security = Security(security_protocol="SASL_PLAINTEXT", username="router", password=SECRET)
    assert security.to_client_options() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "router",
        "sasl_plain_password": SECRET,
    }


def test_tls_checks_the_broker_against_the_authority_and_its_name(made: Certificates) -> None:
    """Only the given authority is trusted, and nothing below TLS 1.2 spoken."""
    options = Security(security_protocol="SASL_SSL", ca_file=made.authority).to_client_options()
    context = options["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats() == {"x509": 1, "x509_ca": 1, "crl": 0}


def test_tls_without_an_authority_trusts_whom_the_system_trusts() -> None:
    """And still wants to be shown a certificate with the broker's name."""
    context = Security(security_protocol="SSL").to_client_options()["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_files_that_cannot_be_used_are_a_configuration_error(made: Certificates) -> None:
    """Missing, not a certificate, a key of somebody else: named, before anything is begun."""
    for wrong in (
        {"ca_file": Path("/nowhere/authority.pem")},
        {"ca_file": made.client_key},
        {"certificate_file": made.client, "key_file": made.client},
        {"certificate_file": made.authority, "key_file": made.client_key},
    ):
        with pytest.raises(UnusableSecurity, match=str(next(iter(wrong.values())))) as raised:
            open_streams("kafka://localhost:1", security=Security(security_protocol="SSL", **wrong))
        assert isinstance(raised.value, ConfigurationError)


def test_the_password_is_not_shown() -> None:
    """Not even by accident in a traceback's representation."""
    assert SECRET not in repr(Security(password=SECRET))
