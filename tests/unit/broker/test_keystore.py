"""Private keys in files: encrypted, for their owner alone, and never half-written."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from commands import concordat
from pydantic import SecretStr

from broker.keyring import Keyring
from broker.keystore import FileKeyStore, KeysUnavailable
from schemas.keys import Suite

PASSPHRASE = SecretStr("correct-horse-battery-staple")
KEYS = [{"kty": "oct", "k": "bWFya2VkLXNlY3JldA", "use": "derive"}]


def mode(path: Path) -> int:
    """Return a file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """A ring of every kind of key comes back whole from its file."""
    store = FileKeyStore(tmp_path / "keys", PASSPHRASE)
    ring = Keyring.generate(Suite.X25519)
    store.save("council", ring.to_jwks())
    assert Keyring.from_jwks("council", store.load("council")).to_jwks() == ring.to_jwks()


def test_the_file_holds_no_key_in_clear(tmp_path: Path) -> None:
    """Neither the key nor the passphrase can be read off the disk."""
    FileKeyStore(tmp_path / "keys", PASSPHRASE).save("council", KEYS)
    text = (tmp_path / "keys" / "council.jwe").read_text()
    assert "bWFya2VkLXNlY3JldA" not in text
    assert PASSPHRASE.get_secret_value() not in text
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["council.jwe"]


def test_a_passphrase_is_slow_to_guess(tmp_path: Path) -> None:
    """As the program makes a file, not as these tests do: each guess costs 210,000 rounds."""
    assert concordat("init", tmp_path / "town").returncode == 0
    files = list((tmp_path / "town").rglob("*.jwe"))
    assert files
    for file in files:
        header = json.loads(base64.urlsafe_b64decode(file.read_text().split(".")[0] + "=="))
        assert (header["alg"], header["p2c"]) == ("PBES2-HS512+A256KW", 210_000)


@pytest.mark.parametrize(
    "passphrase", ["another passphrase", "correct-horse-battery-stapl", "x" * 500]
)
def test_another_passphrase_does_not_open(tmp_path: Path, passphrase: str) -> None:
    """The error says what to set, and shows neither passphrase."""
    FileKeyStore(tmp_path, PASSPHRASE).save("council", KEYS)
    with pytest.raises(KeysUnavailable) as raised:
        FileKeyStore(tmp_path, SecretStr(passphrase)).load("council")
    assert raised.value.code == "keys-unavailable"
    assert "CONCORDAT_KEY_PASSPHRASE" in str(raised.value)
    assert PASSPHRASE.get_secret_value() not in str(raised.value)
    assert passphrase not in str(raised.value)


def test_a_changed_file_does_not_open(tmp_path: Path) -> None:
    """A file that somebody wrote into is refused, not half-read."""
    store = FileKeyStore(tmp_path, PASSPHRASE)
    store.save("council", KEYS)
    path = tmp_path / "council.jwe"
    head, middle, rest = path.read_text().rpartition(".")
    path.write_text(head + middle + ("A" if rest[0] != "A" else "B") + rest[1:])
    with pytest.raises(KeysUnavailable):
        store.load("council")


@pytest.mark.parametrize("text", ["", "not a jwe", "a.b.c.d.e", "{}", "....", "é"])
def test_what_is_no_key_file_does_not_open(tmp_path: Path, text: str) -> None:
    """An empty or foreign file ends in a sentence, not in a traceback."""
    (tmp_path / "council.jwe").write_text(text, encoding="utf-8")
    with pytest.raises(KeysUnavailable):
        FileKeyStore(tmp_path, PASSPHRASE).load("council")


def test_keys_that_are_not_here_are_told_so(tmp_path: Path) -> None:
    """A command that runs where the keys are not says where it looked."""
    with pytest.raises(KeysUnavailable, match=r"no private keys of council at .*council\.jwe"):
        FileKeyStore(tmp_path, PASSPHRASE).load("council")


def test_without_a_passphrase_one_is_made_beside_the_keys(tmp_path: Path) -> None:
    """For trying things out on one machine; another store of the same folder opens them."""
    FileKeyStore(tmp_path / "keys").save("council", KEYS)
    FileKeyStore(tmp_path / "keys").save("trust", KEYS)
    assert FileKeyStore(tmp_path / "keys").load("council") == KEYS
    assert FileKeyStore(tmp_path / "keys").load("trust") == KEYS


def test_a_passphrase_that_is_gone_is_asked_for(tmp_path: Path) -> None:
    """The error names the variable and the file."""
    store = FileKeyStore(tmp_path)
    store.save("council", KEYS)
    (tmp_path / "passphrase").unlink()
    with pytest.raises(KeysUnavailable, match="set CONCORDAT_KEY_PASSPHRASE"):
        store.load("council")


def test_key_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """0600 for the files and 0700 for the folder, also under a generous umask."""
    before = os.umask(0)
    try:
        FileKeyStore(tmp_path / "keys").save("council", KEYS)
    finally:
        os.umask(before)
    assert mode(tmp_path / "keys") == 0o700
    assert {path.name: mode(path) for path in (tmp_path / "keys").iterdir()} == {
        "council.jwe": 0o600,
        "passphrase": 0o600,
    }


def test_saving_replaces_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the last step leaves the old keys as they were."""
    store = FileKeyStore(tmp_path, PASSPHRASE)
    store.save("council", KEYS)

    class Crash(Exception):
        pass

    def crash(*_: object) -> None:
        raise Crash

    for step in ("write", "replace"):
        with monkeypatch.context() as broken:
            if step == "write":
                broken.setattr(os, "fsync", crash)
            else:
                broken.setattr(Path, "replace", crash)
            with pytest.raises(Crash):
                store.save("council", [{"kty": "oct", "k": "bmV3", "use": "derive"}])
        assert store.load("council") == KEYS
    store.save("council", [{"kty": "oct", "k": "bmV3", "use": "derive"}])
    assert store.load("council") == [{"kty": "oct", "k": "bmV3", "use": "derive"}]


@pytest.mark.parametrize("missing", ["sig", "enc", "derive"])
def test_a_ring_that_lacks_a_kind_of_key_is_refused(missing: str) -> None:
    """A party without its secret would give its events other ids than before."""
    jwks = [jwk for jwk in Keyring.generate(Suite.X25519).to_jwks() if jwk["use"] != missing]
    with pytest.raises(KeysUnavailable, match="not whole"):
        Keyring.from_jwks("council", jwks)


def test_derived_keys_differ_by_purpose_party_and_secret() -> None:
    """One secret serves several ends, and none can be told from another."""
    ring, other = Keyring.generate(Suite.X25519), Keyring.generate(Suite.X25519)
    derived = [
        ring.derive("audit"),
        ring.derive("pseudonym", "trust"),
        ring.derive("pseudonym", "school"),
        ring.derive("delivery-key", "trust"),
        other.derive("audit"),
    ]
    assert len(set(derived)) == len(derived)
    assert {len(key) for key in derived} == {32}
    assert ring.derive("audit") == derived[0]


def test_a_ring_shows_no_secret_when_printed() -> None:
    """A log line or a traceback with a ring in it tells nothing."""
    ring = Keyring.generate(Suite.X25519)
    shown = repr(ring) + json.dumps([repr(key) for key in (*ring.signing, *ring.sealing)])
    for jwk in ring.to_jwks():
        private = jwk.get("d") or jwk.get("k") or jwk.get("priv")
        assert private not in shown
    assert ring.secret.hex() not in shown
    assert repr(ring.secret) not in shown
