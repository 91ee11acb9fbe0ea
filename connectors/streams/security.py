"""How Kafka's brokers are reached: in clear or by TLS, and as whom.

Names here are Kafka's own (its documentation, "Security"); what the client library
calls them stays inside. Embedded streams have none of this: they are a file.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import ConfigurationError


class UnusableSecurity(ConfigurationError):
    """A file for TLS is not there, or is not what it should be."""

    code = "unusable-security"


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What a client shows the brokers, and what it asks of them."""

    security_protocol: str = "PLAINTEXT"
    """``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``."""
    ca_file: Path | None = None
    """Who may vouch for the brokers (PEM); without it whom the system trusts."""
    certificate_file: Path | None = None
    """The client's own certificate (PEM), where brokers ask for one, with its key."""
    key_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    mechanism: str = "SCRAM-SHA-512"

    def to_client_options(self) -> dict[str, Any]:
        """Return what every client of Kafka is made with.

        Raises:
            UnusableSecurity: a file cannot be read or used.
        """
        options: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.security_protocol.startswith("SASL_"):
            # aiokafka's names say "plain" for every mechanism with a password.
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        # TLS 1.2 at least, and the broker's name must be in its certificate: the
        # defaults of Python's client contexts, which this only fills.
        from aiokafka.helpers import create_ssl_context

        try:
            context: ssl.SSLContext = create_ssl_context(
                cafile=self.ca_file,
                certfile=self.certificate_file,
                keyfile=self.key_file,
                password="",  # an encrypted key would else be asked for at the terminal
            )
        except OSError as error:  # of which ssl.SSLError is one
            files = [self.ca_file, self.certificate_file, self.key_file]
            named = ", ".join(str(file) for file in files if file is not None)
            raise UnusableSecurity(
                f"TLS needs PEM files that can be read and belong together, got {named}:"
                f" {error.strerror or type(error).__name__}"
            ) from error
        return context
