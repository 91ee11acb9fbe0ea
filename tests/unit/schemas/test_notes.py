"""Signed notes, cosignatures, checkpoints and proofs, as C2SP gives them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import merkle
from schemas.checkpoints import Checkpoint, Proof
from schemas.keys import SigningKey
from schemas.notes import COSIGNATURE, BadNote, Note, NoteKey, cosign, sign_note
from schemas.tiles import Edge, Tree

LOG = SigningKey.generate()
WITNESS = SigningKey.generate()
ORIGIN = "anytown.example/decisions"
LOG_KEY = NoteKey(ORIGIN, LOG.public)
WITNESS_KEY = NoteKey("trust.example/witness", WITNESS.public, COSIGNATURE)
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(range(32)))

# The examples of the specifications: a note of signed-note, and its verifier key as
# golang.org/x/mod/sumdb/note documents it.
PETER_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNX"
    "gKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def test_a_note_that_others_signed_verifies() -> None:
    """The example of the Go package that the format comes from."""
    note = Note.read(PETER_NOTE)
    key = NoteKey.from_vkey(PETER_VKEY)
    assert key.to_vkey() == PETER_VKEY
    ((found, signature),) = note.verified([key])
    assert (found, signature.name) == (key, "PeterNeumann")
    assert note.to_text().encode() == PETER_NOTE


def test_a_changed_text_does_not_verify() -> None:
    """One letter is enough."""
    with pytest.raises(BadNote, match="does not verify"):
        Note.read(PETER_NOTE.replace(b"know", b"knew")).verified([NoteKey.from_vkey(PETER_VKEY)])


def test_a_signature_of_a_stranger_says_nothing() -> None:
    """It is passed over, and a note with no other is refused."""
    stranger = sign_note(CHECKPOINT.text, "elsewhere.example/log", WITNESS)
    note = CHECKPOINT.sign(LOG).signed_by(stranger)
    assert [key for key, _ in note.verified([LOG_KEY])] == [LOG_KEY]
    with pytest.raises(BadNote, match="none of the keys"):
        Note(CHECKPOINT.text, (stranger,)).verified([LOG_KEY])


def test_a_known_key_s_bad_signature_spoils_the_note() -> None:
    """A signature that ought to verify and does not is no stranger's."""
    good = CHECKPOINT.sign(LOG).signatures[0]
    bad = replace(good, signature=bytes(64))
    with pytest.raises(BadNote, match="does not verify"):
        Note(CHECKPOINT.text, (good, bad)).verified([LOG_KEY])
    short = replace(good, signature=good.signature[:-1])
    with pytest.raises(BadNote, match="does not verify"):
        Note(CHECKPOINT.text, (short,)).verified([LOG_KEY])


def test_a_cosignature_binds_text_and_time() -> None:
    """tlog-cosignature: the time is in what is signed, and another one does not verify."""
    signature = cosign(CHECKPOINT.text, WITNESS_KEY.name, WITNESS, at_s=1_679_315_147)
    note = CHECKPOINT.sign(LOG).signed_by(signature)
    assert [key.kind for key, _ in note.verified([LOG_KEY, WITNESS_KEY])] == [1, COSIGNATURE]
    assert signature.cosigned_at == 1_679_315_147
    later = replace(
        signature, signature=(1_679_315_148).to_bytes(8, "big") + signature.signature[8:]
    )
    with pytest.raises(BadNote, match="does not verify"):
        CHECKPOINT.sign(LOG).signed_by(later).verified([WITNESS_KEY])
    # A plain signature of the same key is not a cosignature.
    assert WITNESS_KEY.id != NoteKey(WITNESS_KEY.name, WITNESS.public).id


def test_a_newer_cosignature_takes_the_older_s_place() -> None:
    """A witness that signs again leaves one line."""
    first, second = (cosign(CHECKPOINT.text, WITNESS_KEY.name, WITNESS, at_s=at) for at in (10, 20))
    note = CHECKPOINT.sign(LOG).signed_by(first).signed_by(second)
    assert [one.cosigned_at for one in note.signatures[1:]] == [20]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"text\n", b"text\n\n", "text\n\n— name AAAA\n".encode(), b"text\n\n- name AAAAAAAA\n",
        "te\tt\n\n— name AAAAAAAA\n".encode(), "text\n\n— name AAAAAAAA".encode(), b"\xff\n\n",
        "text\n\n— name AAAAAAB=\n".encode(), ("text\n\n" + "— name AAAAAAAA\n" * 65).encode(),
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(data: bytes) -> None:
    """Text, an empty line, signature lines, and one way to write each."""
    with pytest.raises(BadNote):
        Note.read(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_note_or_refused(data: bytes) -> None:
    """Whatever a witness is sent, it answers."""
    for read in (Note.read, Proof.read):
        try:
            read(b"c2sp.org/tlog-proof@v1\n" + data)
        except BadNote:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n", f"a\n01\n{'A' * 43}=\n", f"\n1\n{'A' * 43}=\n", "a\n1\nAAAA\n",
        f"a\n-1\n{'A' * 43}=\n",
        f"a\n1\n{'A' * 43}=\nmore\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Origin, size without leading zeros, a root of 32 bytes; no lines that nobody checks."""
    with pytest.raises(BadNote):
        Checkpoint.read(text)


def test_a_checkpoint_of_another_log_is_not_this_one_s() -> None:
    """The same key may sign for two logs: the origin tells them apart."""
    assert Checkpoint.trusted(CHECKPOINT.sign(LOG), LOG_KEY) == CHECKPOINT
    other = replace(CHECKPOINT, origin="anytown.example/other").sign(LOG)
    with pytest.raises(BadNote, match="another log"):
        Checkpoint.trusted(other, LOG_KEY)


@given(size=st.integers(1, 600), data=st.data())
def test_a_proof_shows_one_entry_and_no_other(size: int, data: st.DataObject) -> None:
    """tlog-proof: index, path and checkpoint in one file, read back and verified."""
    index = data.draw(st.integers(0, size - 1))
    edge, tiles = Edge(), {}
    leaves = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(size)]
    for leaf in leaves:
        tiles |= dict(edge.append(leaf))
    tiles |= dict(edge.partial_tiles())
    checkpoint = Checkpoint(ORIGIN, size, edge.root())
    signature = cosign(checkpoint.text, WITNESS_KEY.name, WITNESS, at_s=5)
    path = tuple(Tree(size, tiles.get).inclusion(index))
    proof = Proof(index, path, checkpoint.sign(LOG).signed_by(signature), extra=b"salt")
    read = Proof.read(proof.to_text().encode())
    assert read == proof
    found, cosigned = read.verify(leaves[index], LOG_KEY, witnesses=[WITNESS_KEY])
    assert found == checkpoint
    assert [key for key, _ in cosigned] == [WITNESS_KEY]
    with pytest.raises(BadNote, match="not at"):
        read.verify(merkle.leaf_hash(b"other"), LOG_KEY)
    with pytest.raises(BadNote):
        replace(read, index=size).verify(leaves[index], LOG_KEY)
