"""What cannot be carried out is told in a sentence, with the remedy and exit status 2."""

from pathlib import Path

import pytest
from commands import concordat_here

WHY = "--reason test"
PERSON = "--identifier nhs-number:9434765919"
CAME = "--received 2026-11-02"
WRONG = [
    ("status --dir nowhere", "make a scheme with `concordat init nowhere`"),
    ("publish nowhere.jsonl --as housing", "'nowhere.jsonl' does not exist"),
    ("agreement validate nowhere.yaml", "'nowhere.yaml' does not exist"),
    ("verify nowhere", "'nowhere' does not exist"),
    ("verify . --key key", "--key: expected a verifier key: name+id+base64"),
    ("witness init there --name w --log key", "--log: expected a verifier key"),
    ("audit ropa", "Missing option '--reason'"),
    ("agreement revoke urn:x --as housing", "Missing option '--reason'"),
    (f"audit sar {PERSON} --received 2026-13-01 {WHY}", "--received: expected a day such as"),
    (f"audit sar {PERSON} {CAME} --paused 2026-11-05/2026-11-04 {WHY}", "the first day before"),
    (f"audit subject --identifier 943 {WHY}", "--identifier: expected TYPE:VALUE"),
    (f"audit ropa --since 1.1.2026 {WHY}", "write 2026-11-01 or 2026-11-01T09:30:00Z"),
    ("evidence export --to copy --since 2026-02-01 --until 2026-01-01", "is not before --until"),
    (f"audit breach --recipient housing --aware noon {WHY}", "--aware 'noon' is neither a date"),
    (f"audit reconcile --month 2026-13 {WHY}", "--month: expected a month such as 2026-11"),
    (f"audit log --party police --format word {WHY}", "not one of 'html'"),
    (f"audit acts --kind gossip {WHY}", "not one of 'control'"),
    ("party add Housing --name Housing", "expected small letters, digits and hyphens"),
    ("party add housing --name Housing --schema-number 7", "expected NUMBER=FINGERPRINT"),
    ("party assurance housing --kind dspt --from now --until then", "--from: expected a day"),
    ("key stolen housing --kid kid --from noon", "--from: expected a date, a time and its zone"),
    (f"agreement read {__file__} --format pdf", "add --out FILE"),
    ("run --only everything", "expected some of router"),
]


@pytest.mark.parametrize(("line", "remedy"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_use_is_told_in_a_sentence(
    line: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read or written, and without a trace of the program's inside."""
    monkeypatch.chdir(tmp_path)
    done = concordat_here(*line.split())
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert remedy in " ".join(done.stderr.replace("│", " ").split())
    assert not list(tmp_path.iterdir())
