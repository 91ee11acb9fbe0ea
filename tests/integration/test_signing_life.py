"""An agreement's life by commands: signed elsewhere, tracked, suspended, resumed, revoked."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import answer_here, concordat_here
from town import COUNCIL, PURPOSE, SCHOOL, TOUR, the_agreement

from agreements.canonical import to_document

ID = the_agreement().id


@pytest.fixture(name="folder")
def a_scheme(tmp_path: Path) -> Path:
    """Found a scheme with both organisations and the tour's agreement, which nobody signed."""
    folder = tmp_path / "town"
    assert concordat_here("init", folder).returncode == 0
    answer_here("party", "add", COUNCIL, "--name", "Council", folder=folder)
    answer_here("party", "add", SCHOOL, "--name", "S", "--purpose", PURPOSE, folder=folder)
    answer_here("agreement", "put", TOUR, folder=folder)
    return folder


def sign(folder: Path, *more: object, party: str = SCHOOL, file: Path = TOUR) -> Path:
    """Sign on a machine that has the file and the key; returns the file to send back."""
    machine = folder.parent / f"machine-{len(list(folder.parent.iterdir()))}"
    machine.mkdir()
    answer_here("key", "export", party, "--out", machine / "key.json", folder=folder)
    (machine / "agreement.yaml").write_bytes(file.read_bytes())
    out = machine / "signed.json"
    place = ["--key", machine / "key.json", "--party", party, "--out", out]
    answer_here("agreement", "sign", machine / "agreement.yaml", *place, *more)
    return out


def status(folder: Path) -> Any:
    """Return what the tracker tells of the only version there is."""
    [told] = answer_here("agreement", "status", ID, folder=folder)["agreements"]
    return told


def say(folder: Path, kind: str, *more: object, party: str = SCHOOL) -> Any:
    """Say something of the agreement with a key that lies in the folder."""
    why = [] if kind in ("accept", "consult") else ["--reason", "The test's own"]
    return answer_here("agreement", kind, ID, "--as", party, *why, *more, folder=folder)


def refusal(folder: Path, *arguments: object, status_is: int = 1) -> str:
    """Run a command whose answer is no; returns the sentence. Nothing was changed by it."""
    before = status(folder)
    done = concordat_here("agreement", *arguments, folder=folder)
    assert done.returncode == status_is
    assert status(folder) == before
    return done.stderr


def test_an_agreement_is_signed_where_the_parties_are(folder: Path) -> None:
    """With the file and the key; what comes back is put on record and counts."""
    who = ["--name", "Ann Officer", "--post", "Caldicott Guardian", "--capacity"]
    first = sign(folder, *who, "CALDICOTT_GUARDIAN")
    done = answer_here("agreement", "submit", first, folder=folder)
    assert (done["party"], done["was_there"], done["covered"]) == (SCHOOL, False, True)
    told = status(folder)
    assert told["state"] == "draft"
    assert told["pairs"][0]["waits_for"] == [COUNCIL]
    [school] = [one for one in told["parties"] if one["party"] == SCHOOL]
    assert school["signatory"]["name"] == "Ann Officer"
    answer_here("agreement", "submit", sign(folder, party=COUNCIL), folder=folder)
    assert status(folder)["state"] == "in-force"
    assert answer_here("agreement", "submit", first, folder=folder)["was_there"] is True


def test_what_does_not_fit_what_is_on_record_is_refused(folder: Path, tmp_path: Path) -> None:
    """Another text, another key, half a file, a move that its life does not allow."""
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps(to_document(the_agreement(title="Another text"))))
    assert "another text" in refusal(folder, "submit", sign(folder, file=other))
    signed = sign(folder)
    half = tmp_path / "half.json"
    half.write_bytes(signed.read_bytes()[:200])
    assert "line " in refusal(folder, "submit", half)
    lent = sign(folder, party=COUNCIL)
    altered = json.loads(lent.read_text()) | {"party": SCHOOL}
    half.write_text(json.dumps(altered))
    assert "party is not what was signed" in refusal(folder, "submit", half)
    key = tmp_path / "own.json"
    answer_here("key", "new", "--out", key)
    out = tmp_path / "foreign.json"
    answer_here("agreement", "sign", TOUR, "--key", key, "--party", SCHOOL, "--out", out)
    assert "does not have" in refusal(folder, "submit", out)
    early = ["review", ID, "--as", SCHOOL, "--reason", "Too early"]
    assert "would have to be" in refusal(folder, *early)
    assert "no private keys" in refusal(folder, "accept", ID, "--as", "broker")
    no_time = ("--effective-at", "2027-01-01")
    assert "expected a date, a time" in refusal(folder, *early, *no_time, status_is=2)


def test_a_life_from_consultation_to_revocation(folder: Path) -> None:
    """Each move by a command, and the tracker tells the state after each."""
    moves: list[tuple[list[object], str, str]] = [
        (["consult"], COUNCIL, "consulting"),
        (["accept"], COUNCIL, "consulting"),
        (["accept"], SCHOOL, "in-force"),
        (["review"], SCHOOL, "under-review"),
        (["reviewed", "--review-by", "2027-06-01T00:00:00Z"], SCHOOL, "in-force"),
        (["suspend"], SCHOOL, "suspended"),
        (["resume", "--held", "purge"], SCHOOL, "in-force"),
        (["revoke", "--effective-at", "2999-01-01T00:00:00Z"], SCHOOL, "in-force"),
        (["revoke"], SCHOOL, "terminated"),
    ]
    for (kind, *more), party, state in moves:
        done = say(folder, str(kind), *more, party=party)
        assert done["covered"] is True
        assert status(folder)["state"] == state, kind
    text = concordat_here("agreement", "status", folder=folder).stdout
    assert "terminated" in text
    assert "suspend  anytown-virtual-school  on control" in text
    assert "has no suspension that stands" in refusal(
        folder, "resume", ID, "--as", SCHOOL, "--reason", "x", "--held", "release"
    )


def test_two_suspensions_are_lifted_one_by_one(folder: Path) -> None:
    """A resume without a name does not guess which."""
    for party in (COUNCIL, SCHOOL):
        say(folder, "accept", party=party)
    first, second = say(folder, "suspend")["id"], say(folder, "suspend")["id"]
    assert first != second
    resume = ["resume", ID, "--as", SCHOOL, "--reason", "x", "--held", "release"]
    assert "name one with --lifts" in refusal(folder, *resume)
    say(folder, "resume", "--held", "release", "--lifts", first)
    assert status(folder)["state"] == "suspended"
    say(folder, "resume", "--held", "release")
    assert status(folder)["state"] == "in-force"


def test_a_party_that_has_not_signed_in_time_is_late(folder: Path, tmp_path: Path) -> None:
    """By the day that the agreement names."""
    text = to_document(the_agreement(version=2, signing={"due": "2026-01-31"}))
    file = tmp_path / "due.yaml"
    file.write_text(json.dumps(text))
    answer_here("agreement", "put", file, "--sign-as", COUNCIL, folder=folder)
    told = answer_here("agreement", "status", ID, folder=folder)["agreements"][-1]
    assert {one["party"]: one["is_late"] for one in told["parties"]} == {
        COUNCIL: False,
        SCHOOL: True,
    }
    assert "LATE, was due" in concordat_here("agreement", "status", ID, folder=folder).stdout


# -- keys --------------------------------------------------------------------------------------


def keys(folder: Path) -> dict[str, str]:
    """Return the school's keys and their states, the one in use first."""
    told = answer_here("key", "list", SCHOOL, folder=folder)["keys"]
    return {one["kid"]: one["state"] for one in told}


def test_a_signature_outlives_the_key_that_made_it(folder: Path) -> None:
    """Rotated, then retired: what was said with the old key goes on counting."""
    for party in (COUNCIL, SCHOOL):
        say(folder, "accept", party=party)
    [old] = keys(folder)
    unsent = sign(folder, "--type", "review", "--reason", "With the old key")
    answer_here("key", "rotate", SCHOOL, folder=folder)
    new, kept = keys(folder)
    assert kept == old
    answer_here("key", "retire", SCHOOL, "--kid", old, folder=folder)
    assert list(keys(folder)) == [new]
    assert status(folder)["state"] == "in-force"
    assert "does not have (any more)" in refusal(folder, "submit", unsent)
    say(folder, "review")
    assert status(folder)["state"] == "under-review"


def test_what_a_stolen_key_signed_does_not_count(folder: Path) -> None:
    """From the time on at which it was stolen; a stop that it made stays a stop."""
    for party in (COUNCIL, SCHOOL):
        say(folder, "accept", party=party)
    [old] = keys(folder)
    stolen = ["stolen", SCHOOL, "--kid", old, "--from", "2026-01-01T00:00:00Z"]
    done = concordat_here("key", *stolen, folder=folder)
    assert done.returncode == 1
    assert "give it another first" in done.stderr
    answer_here("key", "rotate", SCHOOL, folder=folder)
    answer_here("key", *stolen, folder=folder)
    assert keys(folder)[old].startswith("stolen")
    [school] = [one for one in status(folder)["parties"] if one["party"] == SCHOOL]
    assert school["standing"] == "unsigned"
    say(folder, "accept")
    assert status(folder)["state"] == "in-force"


def test_a_key_that_the_party_made_is_made_known(folder: Path, tmp_path: Path) -> None:
    """Its private half never comes near the scheme."""
    made = answer_here("key", "new", "--out", tmp_path / "k.json", "--public", tmp_path / "p.json")
    answer_here("key", "rotate", SCHOOL, "--public", tmp_path / "p.json", folder=folder)
    assert next(iter(keys(folder))) == made["kid"]
    out = tmp_path / "signed.json"
    place = ["--key", tmp_path / "k.json", "--party", SCHOOL, "--out", out]
    answer_here("agreement", "sign", TOUR, *place)
    assert answer_here("agreement", "submit", out, folder=folder)["covered"] is True
    done = concordat_here("key", "rotate", SCHOOL, "--public", tmp_path / "k.json", folder=folder)
    assert done.returncode == 1
    assert "private" in done.stderr


def test_an_assurance_is_noted_on_the_party(folder: Path) -> None:
    """With its days; a kind that is in no list is refused."""
    days = ["--from", "2026-01-01", "--until", "2027-06-30"]
    answer_here("party", "assurance", SCHOOL, "--kind", "dspt", *days, folder=folder)
    told = answer_here("party", "list", folder=folder)["parties"]
    [assured] = next(one["assurances"] for one in told if one["party"] == SCHOOL)
    assert (assured["kind"], assured["valid_until"]) == ("dspt", "2027-06-30")
    done = concordat_here("party", "assurance", SCHOOL, "--kind", "other", *days, folder=folder)
    assert done.returncode == 1
    assert "dspt" in done.stderr
