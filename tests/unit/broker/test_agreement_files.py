"""Agreements in files, at the command line: validate, import, export, whatever the file holds."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from agreement_texts import a_document, changed
from commands import answer_here, concordat, concordat_here

ROOT: Final = Path(__file__).parents[3]
SAMPLE: Final = ROOT / "tests/cases/mais/policy.json"
PROBLEM: Final = {"code", "severity", "line", "path", "message", "remedy"}

BOMB: Final = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)
)
BAD: Final[dict[str, tuple[bytes, str]]] = {
    "bomb.yaml": (BOMB.encode(), "anchor"),
    "alias.yaml": (b"format: 1\ntitle: *other\n", "alias"),
    "twice.json": (b'{"format": 1,\n "format": 1}', "duplicate-key"),
    "utf16.yaml": ("format: 1".encode("utf-16"), "not-utf-8"),
    "latin1.yaml": ("format: 1\ntitle: caf\u00e9".encode("latin-1"), "not-utf-8"),
    "large.yaml": (b"title: " + b"x" * 10 * 1024 * 1024, "too-large"),
    "deep.json": (b"[" * 100_000, "too-deep"),
    "many.yaml": (b"a: [" + b"1," * 100_000 + b"]", "too-large"),
    "half.json": (b'{"format": 1, "title": "Half', "not-yaml"),
    "empty.yaml": (b"", "not-a-mapping"),
    "unknown.json": (json.dumps(a_document(colour="blue"), indent=1).encode(), "unknown-field"),
    "date.json": (
        json.dumps(changed(a_document(), {"effective.ends_at": "2027-02-30"}), indent=1).encode(),
        "not-a-time",
    ),
    "number.yaml": (b"format: 1\nversion: 0x10\n", "ambiguous-number"),
    "nul.yaml": (b"format: 1\ntitle: a\x00b\n", "not-yaml"),
}


def written(folder: Path, name: str, content: Any) -> Path:
    """Write a file and return where it is."""
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return file


def test_every_bad_file_is_told_in_a_sentence_with_line_and_remedy(tmp_path: Path) -> None:
    """One command over all of them: none crashes it, hangs it, or stops the others."""
    files = [written(tmp_path, name, content) for name, (content, _) in BAD.items()]
    done = concordat("agreement", "validate", *files, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert not found["valid"]
    for one in found["files"]:
        assert not one["valid"]
        codes = {problem["code"]: problem for problem in one["problems"]}
        expected = BAD[Path(one["file"]).name][1]
        assert expected in codes, one["file"]
        assert codes[expected]["line"] >= 1
        assert codes[expected]["message"]
        assert codes[expected]["remedy"]


def test_the_answer_has_the_form_that_others_rely_on(tmp_path: Path) -> None:
    """Valid or not, and of each problem six things."""
    document = changed(a_document(), {"flows[0].items[0].path": "ethnicity"})
    file = written(tmp_path, "a.json", document)
    done = concordat_here("agreement", "validate", file, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, set(found), found["valid"]) == (1, {"valid", "problems"}, False)
    assert {frozenset(problem) for problem in found["problems"]} == {frozenset(PROBLEM)}
    assert {problem["severity"] for problem in found["problems"]} == {"error"}


def test_a_problem_of_law_is_printed_with_line_rule_reason_and_remedy(tmp_path: Path) -> None:
    """An officer reads what is wrong, why, and what would mend it."""
    file = tmp_path / "a.json"
    file.write_text(
        json.dumps(changed(a_document(), {"flows[0].items[0].path": "ethnicity"}), indent=1)
    )
    done = concordat_here("agreement", "validate", file)
    assert done.returncode == 1
    assert "line " in done.stdout
    assert "[special-category]" in done.stdout
    assert "Special category items need an Article 9 condition" in done.stdout
    assert "https://www.legislation.gov.uk/eur/2016/679/article/9" in done.stdout
    assert "add art9" in done.stdout


def test_files_that_clash_are_told_together(tmp_path: Path) -> None:
    """Two texts of one version, and two versions that supersede each other."""
    uri = a_document()["id"]
    one = a_document(supersedes={"uri": f"{uri}/b", "version": 1})
    two = a_document(id=f"{uri}/b", supersedes={"uri": uri, "version": 1})
    other = a_document(title="Another text")
    files = [written(tmp_path, f"{n}.json", text) for n, text in enumerate((one, two, other))]
    done = concordat_here("agreement", "validate", *files, "--json")
    found = {
        Path(one["file"]).name: {problem["code"] for problem in one["problems"]}
        for one in json.loads(done.stdout)["files"]
    }
    assert done.returncode == 1
    assert found["0.json"] == {"supersedes-circle"}
    assert found["2.json"] == {"same-version"}


def test_the_sample_policy_goes_in_and_out_as_it_was(tmp_path: Path) -> None:
    """Import makes a draft; exporting it again loses nothing."""
    draft, out = tmp_path / "draft.json", tmp_path / "policy.json"
    imported = answer_here("agreement", "import", SAMPLE, "--format", "mais", "--out", draft)
    assert (imported["lost"], imported["valid"]) == ([], False)
    assert {frozenset(problem) for problem in imported["problems"]} == {frozenset(PROBLEM)}
    exported = answer_here("agreement", "export", draft, "--format", "mais", "--out", out)
    assert (exported["lost"], exported["problems"]) == ([], [])
    assert json.loads(out.read_text("utf-8")) == json.loads(SAMPLE.read_text("utf-8"))


def test_an_agreement_goes_out_in_each_form_with_what_is_lost_on_stderr(tmp_path: Path) -> None:
    """Nothing is dropped silently."""
    file = ROOT / "broker/demo/agreements/hospital-discharge.yaml"
    for form in ("mais", "odrl", "cedar"):
        out = tmp_path / form
        done = concordat_here("agreement", "export", file, "--format", form, "--out", out)
        assert done.returncode == 0
        assert "lost: flows" in done.stderr
        assert out.stat().st_size > 100


def test_an_odrl_policy_makes_a_draft(tmp_path: Path) -> None:
    """What is still to be filled in is told with its line in the draft."""
    file = ROOT / "broker/demo/agreements/missing-pupils.yaml"
    policy, draft = tmp_path / "policy.jsonld", tmp_path / "draft.yaml"
    answer_here("agreement", "export", file, "--format", "odrl", "--out", policy)
    done = concordat_here("agreement", "import", policy, "--format", "odrl", "--out", draft)
    assert done.returncode == 0
    assert "expected the field `legal`" in done.stdout
    assert "still to be filled in" in done.stdout
    assert draft.read_text("utf-8").startswith("# Draft, imported from policy.jsonld (odrl)")


@pytest.mark.parametrize("form", ["mais", "odrl"])
def test_a_file_of_another_kind_is_refused_and_nothing_is_written(
    tmp_path: Path, form: str
) -> None:
    """Exit status 1, a sentence, and no half a draft."""
    out = tmp_path / "draft.yaml"
    file = written(tmp_path, "other.json", {"colour": "blue"})
    done = concordat_here("agreement", "import", file, "--format", form, "--out", out)
    assert done.returncode == 1
    assert "not-a-policy" in done.stderr
    assert not out.exists()


def test_a_draft_that_is_no_agreement_yet_has_no_cedar(tmp_path: Path) -> None:
    """Policies that decide are made of an agreement, not of half of one."""
    out = tmp_path / "policy.cedar"
    file = written(tmp_path, "draft.json", {"format": 1, "title": "A draft"})
    done = concordat_here("agreement", "export", file, "--format", "cedar", "--out", out)
    assert done.returncode == 1
    assert "missing-field" in done.stderr
    assert not out.exists()


def test_the_published_schema_and_rules_are_printed() -> None:
    """For editors, and for officers who look up a code."""
    schema = json.loads(concordat_here("agreement", "schema").stdout)
    assert schema["$id"] == "urn:concordat:agreement:1"
    rules = answer_here("agreement", "rules")["rules"]
    assert {"code", "title", "source", "severity", "stops_flow"} == set(rules[0])
