"""Settings: read once, refused when misspelt, and never shown with a secret in them."""

from pathlib import Path

import pytest
from services.secured_kafka import Certificates

from broker.scheme import SchemeFolder
from broker.settings import FILE_NAME, KafkaSettings, Settings, read_settings
from connectors.streams.kafka import KafkaStreams
from schemas.errors import ConfigurationError

SCHEME = '[scheme]\nname = "Anytown"\nkey = { kty = "OKP" }\n'
SECRET = "correct-horse-battery-staple"  # noqa: S105  what must not be shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a scheme with the least there can be in its settings."""
    (tmp_path / FILE_NAME).write_text(SCHEME)
    return tmp_path


def with_settings(folder: Path, text: str) -> Path:
    """Put more above the scheme's table."""
    (folder / FILE_NAME).write_text(text + SCHEME)
    return folder


def refusal(folder: Path, environ: dict[str, str] | None = None) -> str:
    """Return the sentence with which settings are refused."""
    with pytest.raises(ConfigurationError) as raised:
        read_settings(folder, environ or {})
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return str(raised.value)


def test_a_folder_without_settings_is_no_scheme(tmp_path: Path) -> None:
    """The error says how to make one."""
    assert "make a scheme with `concordat init" in refusal(tmp_path)


def test_an_unknown_variable_of_ours_stops_the_start(folder: Path) -> None:
    """A misspelt setting that is silently ignored is a wrong disclosure waiting to happen."""
    told = refusal(folder, {"CONCORDAT_STREAM": "kafka://x:1"})
    assert "unknown environment variable CONCORDAT_STREAM" in told
    assert "CONCORDAT_STREAMS" in told


@pytest.mark.parametrize("name", ["CONCORDAT_TEST_KAFKA", "CONCORDAT_CACHE", "PATH", "HOME"])
def test_variables_of_others_do_not(folder: Path, name: str) -> None:
    """The test suite's and the Makefile's names share our prefix."""
    assert read_settings(folder, {name: "x"}).streams == "sqlite:streams.db"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('stream = "sqlite:x"\n', "stream"),
        ("[router]\nmax_record = 5\n", "router.max_record"),
        ('[logs]\nlevels = "info"\n', "logs.levels"),
    ],
)
def test_an_unknown_name_in_the_file_stops_the_start(folder: Path, text: str, named: str) -> None:
    """At every depth, and the error names it."""
    assert f"{named}: " in refusal(with_settings(folder, text))


@pytest.mark.parametrize(
    "text",
    [
        "partitions = 0\n",
        'partitions = "many"\n',
        'namespace = "Not A Name"\n',
        "[router]\nmax_records = 0\n",
        '[logs]\nlevel = "loud"\n',
        "this is not toml\n",
        "partitions = 1\npartitions = 2\n",
    ],
)
def test_unusable_values_are_refused_with_the_files_name(folder: Path, text: str) -> None:
    """The operator reads which file to mend."""
    assert FILE_NAME in refusal(with_settings(folder, text))


def test_the_environment_stands_above_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nested settings too; what the command line says stands above both."""
    with_settings(folder, 'streams = "sqlite:a.db"\npartitions = 2\n[router]\nmax_records = 7\n')
    monkeypatch.setenv("CONCORDAT_STREAMS", "kafka://localhost:9092")
    monkeypatch.setenv("CONCORDAT_ROUTER__MAX_RECORDS", "9")
    monkeypatch.setenv("CONCORDAT_PARTITIONS", "3")
    settings = read_settings(folder, {}, partitions=5)
    assert settings.streams_url == "kafka://localhost:9092"
    assert settings.router.max_records == 9
    assert settings.partitions == 5


def test_a_relative_sqlite_path_is_taken_from_the_schemes_folder(folder: Path) -> None:
    """The scheme works from whichever folder a command is called in."""
    assert read_settings(folder, {}).streams_url == f"sqlite:{folder / 'streams.db'}"


def test_an_absolute_sqlite_path_stays_as_it_is(folder: Path, tmp_path: Path) -> None:
    """A scheme may keep its streams on another disk."""
    elsewhere = tmp_path / "elsewhere" / "streams.db"
    with_settings(folder, f'streams = "sqlite:{elsewhere}"\n')
    assert read_settings(folder, {}).streams_url == f"sqlite:{elsewhere}"


def test_a_secret_is_shown_by_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither printing the settings nor dumping them tells the passphrase."""
    monkeypatch.setenv("CONCORDAT_KEY_PASSPHRASE", SECRET)
    settings = read_settings(folder, {})
    assert settings.key_passphrase is not None
    assert settings.key_passphrase.get_secret_value() == SECRET
    for shown in (repr(settings), str(settings), settings.model_dump_json(), f"{settings=}"):
        assert SECRET not in shown


@pytest.mark.parametrize("passphrase", ["", "short", "thirteen-long"])
def test_a_passphrase_that_is_too_short_stops_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str
) -> None:
    """Also the empty one of a variable that was set to nothing; it is not repeated."""
    monkeypatch.setenv("CONCORDAT_KEY_PASSPHRASE", passphrase)
    told = refusal(folder)
    assert "key_passphrase: " in told
    assert "14" in told
    assert not passphrase or passphrase not in told


@pytest.mark.parametrize(
    "text",
    [
        f'key_passphrase = ["{SECRET}"]\n',
        f'key_passphras = "{SECRET}"\n',
        f'key_passphrase = "{SECRET}\n',
        f'partitions = "{SECRET}"\n',
    ],
)
def test_no_refusal_repeats_what_was_written(folder: Path, text: str) -> None:
    """A passphrase in the wrong place is not copied to the terminal."""
    assert SECRET not in refusal(with_settings(folder, text))


def test_a_bad_variable_is_refused_without_its_value(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stood in it."""
    monkeypatch.setenv("CONCORDAT_PARTITIONS", SECRET)
    told = refusal(folder)
    assert "partitions" in told
    assert SECRET not in told


@pytest.mark.parametrize("nested", ["CONCORDAT_ROUTER__MAX_RECORD", "CONCORDAT_LOGS__LEVELS"])
def test_an_unknown_nested_variable_stops_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, nested: str
) -> None:
    """The second half of a name is checked like the first."""
    monkeypatch.setenv(nested, "5")
    assert nested.split("__")[1].lower() in refusal(folder, {nested: "5"})


def test_settings_cannot_be_changed_once_read(folder: Path) -> None:
    """They are handed down in pieces; nobody below changes them."""
    settings = read_settings(folder, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.partitions = 9  # type: ignore[misc]
    assert isinstance(settings, Settings)


KAFKA = '[kafka]\nsecurity_protocol = "{}"\n'
WHO = f'username = "router"\npassword = "{SECRET}"\n'


def test_kafka_is_reached_in_clear_unless_told_otherwise(folder: Path) -> None:
    """As a broker on one's own machine is."""
    assert read_settings(folder, {}).kafka == KafkaSettings()


def test_how_kafka_is_reached_comes_from_the_file_and_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password belongs into the environment, and nothing shows it."""
    with_settings(folder, KAFKA.format("SASL_SSL") + 'username = "router"\nca_file = "ca.pem"\n')
    monkeypatch.setenv("CONCORDAT_KAFKA__PASSWORD", SECRET)
    settings = read_settings(folder, {"CONCORDAT_KAFKA__PASSWORD": SECRET})
    assert settings.kafka.mechanism == "SCRAM-SHA-512"
    assert settings.kafka.password is not None
    assert settings.kafka.password.get_secret_value() == SECRET
    for shown in (repr(settings), str(settings.kafka), settings.model_dump_json()):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (KAFKA.format("TLS"), "security_protocol"),
        (KAFKA.format("SASL_SSL"), "need username and password"),
        (KAFKA.format("SASL_SSL") + 'username = "router"\n', "need username and password"),
        (KAFKA.format("SASL_SSL") + 'username = "x"\npassword = ""\n', "need username"),
        (KAFKA.format("SSL") + WHO, "only with sasl"),
        (KAFKA.format("PLAINTEXT") + WHO, "only with sasl"),
        (KAFKA.format("SASL_PLAINTEXT") + WHO + 'ca_file = "ca.pem"\n', "only with ssl"),
        (KAFKA.format("SSL") + 'certificate_file = "client.pem"\n', "go together"),
        (KAFKA.format("SSL") + 'key_file = "client.key"\n', "go together"),
        (KAFKA.format("SASL_PLAINTEXT") + WHO + 'mechanism = "PLAIN"\n', "in clear"),
        (KAFKA.format("SASL_SSL") + WHO + 'mechanism = "GSSAPI"\n', "mechanism"),
        (KAFKA.format("SASL_SSL") + WHO + 'cafile = "ca.pem"\n', "kafka.cafile"),
    ],
)
def test_ways_to_kafka_that_do_not_fit_together_stop_the_start(
    folder: Path, text: str, told: str
) -> None:
    """What would be silently left out is refused, and so is a password sent in clear."""
    refused = refusal(with_settings(folder, text))
    assert told in refused
    assert SECRET not in refused


def test_what_is_set_for_kafka_reaches_its_client(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the scheme, files taken from its folder."""
    Certificates(folder)
    with_settings(
        folder,
        'streams = "kafka://localhost:1"\n' + KAFKA.format("SASL_SSL")
        + 'username = "router"\nmechanism = "SCRAM-SHA-256"\nca_file = "authority.pem"\n'
        'certificate_file = "client.pem"\nkey_file = "client.key"\n',
    )  # fmt: skip
    monkeypatch.setenv("CONCORDAT_KAFKA__PASSWORD", SECRET)
    streams = SchemeFolder(read_settings(folder, {})).streams()
    assert isinstance(streams, KafkaStreams)
    client = streams.client
    assert client["security_protocol"] == "SASL_SSL"
    assert client["sasl_mechanism"] == "SCRAM-SHA-256"
    assert (client["sasl_plain_username"], client["sasl_plain_password"]) == ("router", SECRET)
    assert client["ssl_context"].cert_store_stats()["x509_ca"] == 1
