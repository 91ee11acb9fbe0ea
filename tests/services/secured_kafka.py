"""A broker that is reached by TLS and SASL, with certificates made for it.

Besides the plain listener that the broker uses itself and that tells when it is up, it
has one for each way in :data:`PROTOCOLS`. Who comes by ``SSL`` must show a certificate.
"""

import datetime as dt
import ipaddress
import socket
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from services.local_kafka import LocalKafka, Unavailable, free_port, settings

PROTOCOLS: Final = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
USERNAME: Final = "concordat"
PASSWORD: Final = "in-tests-only-0815"  # noqa: S105  of a broker on the loopback
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


_LISTEN_SECONDS: Final = 20.0


class SecuredKafka(LocalKafka):
    """A broker with a listener for each secured way."""

    def __init__(self, folder: Path) -> None:
        """Put the certificates into ``folder``."""
        self.ports = {protocol: free_port() for protocol in PROTOCOLS}
        self.certificates = Certificates(folder)
        super().__init__(heap="512m")

    def url(self, protocol: str) -> str:
        """Return the address for clients that come this way."""
        return f"kafka://127.0.0.1:{self.ports[protocol]}"

    def start(self) -> None:
        """Start it and return when every listener is there; the plain one is the first."""
        super().start()
        try:
            for port in self.ports.values():
                wait_for_listener(port)
        except Unavailable:
            self.stop(kill=True)
            raise

    def _write_settings(self) -> None:
        self._settings = self._folder / "server.properties"
        values = settings(port=self.port, bind="127.0.0.1", directory=str(self._folder / "data"))
        values = self._secured(values)
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        who = f"name={USERNAME},password={PASSWORD}"
        scram = [f"--add-scram=SCRAM-SHA-{bits}=[{who}]" for bits in (256, 512)]
        identity = ["-t", uuid.uuid4().hex, "-c", str(self._settings)]
        command = ["kafka.tools.StorageTool", "format", *identity, *scram]
        subprocess.run([*self._java("-Xmx128m"), *command], check=True, capture_output=True)

    def _secured(self, values: dict[str, str]) -> dict[str, str]:
        """Add the listeners and what they need."""
        own = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        mapped = ",".join(f"{name}:{name}" for name in self.ports)
        more = {
            "listeners": own,
            "advertised.listeners": own,
            "listener.security.protocol.map": mapped,
        }
        mechanisms = {
            f"listener.name.{protocol.lower()}.scram-sha-{bits}.sasl.jaas.config": _SCRAM
            for protocol in PROTOCOLS
            if protocol.startswith("SASL_")
            for bits in (256, 512)
        }
        return {
            **{name: f"{value},{more[name]}" if name in more else value
               for name, value in values.items()},
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256",
            **mechanisms,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.broker),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.authority),
            "listener.name.ssl.ssl.client.auth": "required",
        }  # fmt: skip


def wait_for_listener(port: int) -> None:
    """Return once somebody listens on a port of the loopback."""
    deadline = time.monotonic() + _LISTEN_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise Unavailable(f"nobody listens on port {port} after {_LISTEN_SECONDS:.0f} seconds")


class Certificates:
    """An authority, and a certificate with its key for the broker and for a client."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "authority.pem"
        self.broker = folder / "broker.pem"
        self.client = folder / "client.pem"
        self.client_key = folder / "client.key"
        self._key = ec.generate_private_key(ec.SECP256R1())
        authority = self._certificate("the tests' authority", self._key, is_authority=True)
        self.authority.write_bytes(_pem(authority))
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate("broker", key)
        self.broker.write_bytes(_key_pem(key) + _pem(certificate) + _pem(authority))
        key = ec.generate_private_key(ec.SECP256R1())
        self.client.write_bytes(_pem(self._certificate("client", key)))
        self.client_key.write_bytes(_key_pem(key))

    def _certificate(
        self, name: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool = False
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        draft = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("the tests' authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            draft = draft.add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        return draft.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
