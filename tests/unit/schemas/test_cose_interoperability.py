"""A COSE library that is not ours opens what we seal.

`cwt` 3.3 follows draft-ietf-cose-hpke-23, with HPKE by `pyhpke`. It knows the X25519
suite in full; X-Wing it does not have yet, so for that suite it opens the content with
the unwrapped key.
"""

import base64

import cbor2
import pytest
from cwt import COSE, COSEKey, COSEMessage, COSETypes
from cwt.exceptions import DecodeError, VerifyError

from schemas.keys import SealingKey, SigningKey, Suite
from schemas.sealing import Binding, Sealer
from schemas.wrapping import hpke_info

SENDER = SigningKey(b"\x01" * 32)
PLAINTEXT = b"what the recipient may have"
BINDING = Binding("recipient", "deliveries.recipient", "id", "uk.gov.example.v1", "urn:schema")
AAD = BINDING.to_aad()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _sealed(key: SealingKey) -> bytes:
    sealer = Sealer(SENDER, "recipient", key.public)
    sealer.seal(b"one before", AAD)
    return sealer.seal(PLAINTEXT, AAD)


def test_cwt_unwraps_the_content_key_and_opens() -> None:
    """HPKE-4-KE, the recipient's header as HPKE info, A256GCM and the external AAD."""
    key = SealingKey.generate(Suite.X25519)
    jwk = key.to_private_jwk()
    cose_key = COSEKey.new(
        {
            1: 1,  # kty: OKP
            2: key.kid.encode(),
            3: 50,  # alg: HPKE-4-KE
            4: [8],  # key_ops: derive bits
            -1: 4,  # crv: X25519
            -2: _decoded(jwk["x"]),
            -4: _decoded(jwk["d"]),
        }
    )
    sealed = _sealed(key)
    assert COSE.new().decode(sealed, [cose_key], external_aad=AAD) == PLAINTEXT
    with pytest.raises(DecodeError):
        COSE.new().decode(sealed, [cose_key], external_aad=b"another")


@pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.label)
def test_cwt_opens_the_content_with_the_unwrapped_key(suite: Suite) -> None:
    """COSE_Encrypt with a direct recipient in place of ours: the content layer alone."""
    key = SealingKey.generate(suite)
    protected, unprotected, ciphertext, [recipient] = cbor2.loads(_sealed(key)).value
    content_key = key.unwrap(recipient[1][-4], recipient[2], hpke_info(recipient[0]))
    direct = cbor2.CBORTag(96, [protected, unprotected, ciphertext, [[b"", {1: -6, 4: b"1"}, b""]]])
    cose_key = COSEKey.from_symmetric_key(content_key, alg="A256GCM", kid="1")
    assert COSE.new().decode(cbor2.dumps(direct), [cose_key], external_aad=AAD) == PLAINTEXT


@pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.label)
def test_cwt_verifies_the_senders_countersignature(suite: Suite) -> None:
    """RFC 9338: a COSE_recipient has the shape of COSE_Encrypt0, and is countersigned alike."""
    recipient = cbor2.loads(_sealed(SealingKey.generate(suite))).value[3][0]
    message = COSEMessage(COSETypes.ENCRYPT0, recipient)
    public = COSEKey.new({1: 1, 3: -8, -1: 6, -2: SENDER.public.raw})
    message.counterverify(public, aad=recipient[1][-4])
    with pytest.raises(VerifyError):
        message.counterverify(public, aad=b"another")
