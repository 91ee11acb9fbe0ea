"""The settings of a scheme: ``concordat.toml`` in its folder, and the environment above it.

Read once by the command line and handed down in pieces. A name nobody knows
stops the start, in the file as in the environment: a misspelt setting that is
silently ignored is a wrong disclosure waiting to happen.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from agreements.values import CalendarDuration
from schemas.errors import ConfigurationError

FILE_NAME = "concordat.toml"

_PREFIX = "CONCORDAT_"
_NOT_SETTINGS = ("CONCORDAT_TEST_", "CONCORDAT_CACHE")
"""Names of the test suite and of the Makefile that share our prefix."""


class NoScheme(ConfigurationError):
    """A folder has no scheme in it."""

    code: ClassVar[str] = "no-scheme"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SchemeSettings(_Section):
    """Whose scheme this is, and the one key that everything else is checked against."""

    name: str = Field(min_length=1, max_length=100)
    key: dict[str, str]
    """The scheme's public key as a JWK (RFC 7517). Pinned: it comes from nowhere else."""


class KafkaSettings(_Section):
    """How Kafka's brokers are reached, and as whom."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: Path | None = None
    """Who may vouch for the brokers (PEM); files are relative to the scheme's folder."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    username: str = ""
    password: SecretStr | None = None
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse what would be silently left out, or would send a password in clear."""
        is_tls = self.security_protocol.endswith("SSL")
        if not is_tls and (self.ca_file or self.certificate_file or self.key_file):
            raise ValueError("files for TLS are of use only with SSL or SASL_SSL")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        is_sasl = self.security_protocol.startswith("SASL_")
        has_both = bool(self.username and self.password and self.password.get_secret_value())
        if is_sasl and not has_both:
            raise ValueError("SASL_PLAINTEXT and SASL_SSL need username and password")
        if not is_sasl and (self.username or self.password):
            raise ValueError("username and password are of use only with SASL")
        if self.mechanism == "PLAIN" and self.security_protocol == "SASL_PLAINTEXT":
            raise ValueError("PLAIN would send the password in clear: use SASL_SSL or SCRAM")
        return self


class RouterSettings(_Section):
    """How much a router takes at once."""

    group: str = "router"
    max_records: int = Field(default=2000, ge=1, le=50_000)
    """Records of one partition in a batch, which is one transaction."""
    session_seconds: float = Field(default=10.0, ge=1.0, le=300.0)
    """How long the partitions of a router that died wait for another to take them."""
    rules_max_age: timedelta = Field(default=timedelta(minutes=10), ge=timedelta(seconds=1))
    """How old rules may be, by the scheme's freshness statements, before a router stops."""


class EvidenceSettings(_Section):
    """What becomes of the records of decisions."""

    keep: CalendarDuration | None = None
    """For how long, such as P7Y, where an agreement does not say; for ever, if neither does."""
    shred_every: timedelta = Field(default=timedelta(days=1), ge=timedelta(minutes=1))
    """How often `concordat run` shreds what is due."""


class LogSettings(_Section):
    """What the operator reads."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    json_lines: bool = True


class Settings(BaseSettings):
    """Everything that can be set; ``CONCORDAT_STREAMS`` sets ``streams``, and so on."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    dir: Path = Path()
    streams: str = "sqlite:streams.db"
    """``sqlite:PATH`` (embedded; relative to the folder) or ``kafka://host:port[,…]``."""
    store: SecretStr = SecretStr("sqlite:store.db")
    """``sqlite:PATH`` (relative to the folder) or ``postgresql://user:password@host/database``.

    The register. With a password it belongs into the environment, not into the file.
    """
    audit_store: SecretStr = SecretStr("sqlite:audit.db")
    """What auditors' questions are answered from, likewise; it may be the same database."""
    namespace: str = Field(default="", pattern=r"^[a-z0-9-]{0,40}$")
    """What the names of topics and groups on Kafka begin with, where schemes share a cluster."""
    partitions: int = Field(default=4, ge=1, le=1024)
    """Partitions of each topic that is made; ``control`` always has one."""
    scheme: SchemeSettings
    kafka: KafkaSettings = KafkaSettings()
    router: RouterSettings = RouterSettings()
    logs: LogSettings = LogSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    key_passphrase: SecretStr | None = Field(default=None, min_length=14)
    """Opens the key files. Without it, the file ``passphrase`` beside them does.

    112 bits at least, even of random characters (NIST SP 800-131A).
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the base class fixes the names
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: what the command line says, the environment, the file."""
        folder = Path(init_settings().get("dir", "."))
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, toml_file=folder / FILE_NAME),
        )

    @property
    def streams_url(self) -> str:
        """The streams' address, a relative ``sqlite:`` path taken from the scheme's folder."""
        return self._placed(self.streams)

    @property
    def store_address(self) -> str:
        """The store's address, likewise; it may hold a password."""
        return self._placed(self.store.get_secret_value())

    @property
    def audit_store_address(self) -> str:
        """The query store's address, likewise."""
        return self._placed(self.audit_store.get_secret_value())

    def _placed(self, address: str) -> str:
        kind, _, path = address.partition(":")
        if kind == "sqlite":
            return f"sqlite:{self.dir / path}"
        return address


def read_settings(folder: Path, environ: Mapping[str, str], **overrides: Any) -> Settings:
    """Read the settings of the scheme in ``folder``.

    Raises:
        NoScheme: there is none in ``folder``.
        ConfigurationError: a setting is unknown or unusable.

    """
    if not (folder / FILE_NAME).is_file():
        raise NoScheme(
            f"no {FILE_NAME} in {folder}: make a scheme with `concordat init {folder}`,"
            " or name its folder with --dir or CONCORDAT_DIR"
        )
    _refuse_unknown(environ)
    try:
        return Settings(dir=folder, **overrides)
    except ValidationError as error:
        raise ConfigurationError(f"{folder / FILE_NAME}: {_sentence(error)}") from None
    except ValueError as error:
        raise ConfigurationError(f"{folder / FILE_NAME} is not TOML: {error}") from None


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {_PREFIX + name.upper() for name in Settings.model_fields}
    for name in environ:
        ours = name.startswith(_PREFIX) and not name.startswith(_NOT_SETTINGS)
        if ours and name.split("__")[0] not in known:
            expected = ", ".join(sorted(known))
            raise ConfigurationError(f"unknown environment variable {name}: expected {expected}")


def _sentence(error: ValidationError) -> str:
    """Say what is wrong without the value: a passphrase may be in it."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg'].lower()}"
        for problem in error.errors(include_input=False, include_url=False)
    )
