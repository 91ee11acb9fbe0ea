"""``concordat template`` from end to end: adopt a national template, make a new version of it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import concordat

from agreements.reading import read_agreement
from agreements.templates.library import shipped_templates
from broker.administration import found_scheme, prepare_streams, put_agreement
from broker.cli.program import main
from broker.scheme import SchemeFolder

AUTHOR, READER = "A. Author, IG lead, Anytown", "R. Reader, IG lead, Othertown"
DISCHARGE = "urn:concordat:templates:hospital-discharge"
Said = tuple[int, str, str]


class Commands:
    """Runs commands in this process, as ``concordat`` does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: object) -> Said:
        """Run a command; return its exit status, output and errors."""
        self._monkeypatch.setattr(sys, "argv", ["concordat", *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def answer(self, *arguments: object) -> Any:
        """Run a command with ``--json`` that must succeed; return its answer."""
        status, out, err = self.run(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    def refusal(self, *arguments: object) -> str:
        """Run a command that must be refused; return what it says."""
        status, _, err = self.run(*arguments)
        assert status == 1, err
        assert err.startswith("concordat: ")
        return err


@pytest.fixture(name="commands")
def the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Commands:
    """Return commands that run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Commands(monkeypatch, capsys)


@pytest.fixture(name="bindings")
def the_bindings(tmp_path: Path) -> Path:
    """Write the examples of the discharge template as a file of bindings."""
    file = tmp_path / "bindings.yaml"
    examples = shipped_templates()["hospital-discharge"].examples
    file.write_text(json.dumps(examples), encoding="utf-8")
    return file


def test_a_template_is_adopted_without_a_scheme(commands: Commands, bindings: Path) -> None:
    """List, look, fill in, adopt, validate, compare: all in an empty folder."""
    names = {entry["name"] for entry in commands.answer("template", "list")["templates"]}
    assert names == set(shipped_templates())
    shown = commands.answer("template", "show", "hospital-discharge")
    assert shown["licence"]["id"] == "OGL-UK-3.0"
    assert shown["text"] == shipped_templates()["hospital-discharge"].text
    adopted = commands.answer(
        "template", "adopt", "hospital-discharge", "--bindings", bindings,
        "--bind", "acute-trust=newtown-trust", "--out", "local.yaml",
    )  # fmt: skip
    assert adopted["valid"]
    assert adopted["template"] == {"uri": DISCHARGE, "version": 1}
    assert adopted["bindings"]["acute-trust"] == "newtown-trust"
    agreement = read_agreement(Path("local.yaml").read_bytes(), name="local.yaml")
    assert agreement.template is not None
    assert (agreement.template.uri, agreement.template.version) == (DISCHARGE, 1)
    assert commands.answer("agreement", "validate", "local.yaml")["valid"]
    compared = commands.answer("template", "diff", "local.yaml")
    assert compared["departures"] == compared["widens"] == compared["narrows"] == []


def test_what_is_missing_is_named_and_nothing_is_written(
    commands: Commands, bindings: Path
) -> None:
    """In words for a person, as problems for a program; a file that exists stays as it is."""
    adopt = ("template", "adopt", "hospital-discharge", "--out", "local.yaml")
    told = commands.refusal(*adopt, "--bind", "acute-trust=newtown-trust")
    assert "adult-social-care: has no value" in told
    assert not Path("local.yaml").exists()
    status, out, _ = commands.run(*adopt, "--bind", "ward=7", "--json")
    assert status == 1
    problems = json.loads(out)["problems"]
    assert {problem["code"] for problem in problems} == {"missing-binding", "unknown-binding"}
    assert all(problem["remedy"] for problem in problems)
    Path("local.yaml").write_text("mine", encoding="utf-8")
    assert "choose another name" in commands.refusal(*adopt, "--bindings", bindings)
    assert Path("local.yaml").read_text(encoding="utf-8") == "mine"
    assert "did you mean" in commands.refusal("template", "adopt", "hospital-discharg")


def test_a_program_is_told_by_its_exit_status() -> None:
    """As another process sees it: 1 the answer is no, 2 wrong use."""
    refused = concordat("template", "adopt", "nothing-like-it")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is no template" in refused.stderr
    assert concordat("template", "adopt").returncode == 2


@pytest.fixture(name="scheme")
def a_scheme_with_an_adopter(commands: Commands, bindings: Path, tmp_path: Path) -> SchemeFolder:
    """Found a scheme in which the discharge template was adopted."""
    commands.answer(
        "template", "adopt", "hospital-discharge", "--bindings", bindings, "--out", "local.yaml"
    )
    scheme = found_scheme(tmp_path / "scheme", name="Test", streams="sqlite:streams.db")

    agreement = read_agreement(Path("local.yaml").read_bytes(), name="local.yaml")

    async def put() -> None:
        async with scheme.streams() as streams:
            await prepare_streams(scheme, streams)
            await put_agreement(scheme, streams, agreement, name="local.yaml")

    asyncio.run(put())
    return scheme


def test_a_new_version_is_discussed_assured_and_published(
    commands: Commands, scheme: SchemeFolder
) -> None:
    """Its adopters are listed with what it changes for each."""
    here = ("--dir", scheme.path)
    text = shipped_templates()["hospital-discharge"].text
    second = text.replace("version: 1\n", "version: 2\n", 1).replace("max_age: P2D", "max_age: P3D")
    Path("second.yaml").write_text(second, encoding="utf-8")

    proposed = commands.answer("template", "propose", "second.yaml", "--by", AUTHOR, *here)
    assert (proposed["state"], proposed["version"], proposed["revision"]) == ("proposed", 2, 1)
    name = ("hospital-discharge", *here)
    assert "not possible" in commands.refusal("template", "assure", *name, "--by", READER)
    commands.answer("template", "consult", *name, "--by", AUTHOR)
    said = commands.answer(
        "template", "comment", *name, "--by", READER, "--text", "Why three days?"
    )
    assert said["comments"][0]["text"] == "Why three days?"
    assert "ask somebody else" in commands.refusal("template", "assure", *name, "--by", AUTHOR)
    assert "changed meanwhile" in commands.refusal(
        "template", "assure", *name, "--by", READER, "--revision", "1"
    )
    assured = commands.answer("template", "assure", *name, "--by", READER, "--revision", "2")
    assert assured["assured_by"] == READER
    published = commands.answer("template", "publish", *name, "--by", AUTHOR)
    (adopter,) = published["adopters"]
    assert adopter["agreement"] == "https://sharing.example.gov.uk/agreements/hospital-discharge"
    assert [(c["path"], c["local"]) for c in adopter["changes"]] == [
        ("flows[assessment-notice].max_age", "P3D"),
        ("flows[discharge-notice].max_age", "P3D"),
    ]
    assert len(adopter["widens"]) == 2
    assert commands.answer("template", "adopters", *name)["adopters"] == [adopter]
    assert commands.answer("template", "diff", "local.yaml", *here)["latest_version"] == 2
    _, shown, _ = commands.run("template", "adopters", *name)
    assert "version 2 changes flows[discharge-notice].max_age: P2D became P3D" in shown

    withdrawn = commands.answer(
        "template", "withdraw", *name, "--by", READER, "--reason", "Two days were better"
    )
    assert withdrawn["steps"][-1]["reason"] == "Two days were better"
    _, told, _ = commands.run("template", "history", *name)
    assert "withdraw by R. Reader, IG lead, Othertown: Two days were better" in told
    assert "comment 1 by R. Reader" in told
    again = commands.answer("template", "show", "hospital-discharge", "--version", "1", *here)
    assert again["state"] == "shipped"
    refused = commands.refusal("template", "adopt", "hospital-discharge", "--version", "2", *here)
    assert "Two days were better" in refused


def test_a_local_agreement_becomes_a_template(commands: Commands, scheme: SchemeFolder) -> None:
    """Read the draft, propose it, redraft it; what is local stays at home."""
    here = ("--dir", scheme.path)
    made = commands.answer(
        "template", "propose", "local.yaml", "--by", AUTHOR, "--uri", "urn:concordat:templates:new",
        "--part", "anytown-nhs-trust=acute-trust", "--out", "draft.yaml",
    )  # fmt: skip
    assert "acute-trust" in made["places"]
    draft = Path("draft.yaml").read_text(encoding="utf-8")
    assert "anytown" not in draft.lower().replace(AUTHOR.lower(), "")
    commands.answer("template", "propose", "draft.yaml", "--by", AUTHOR, *here)
    assert "there already" in commands.refusal(
        "template", "propose", "draft.yaml", "--by", AUTHOR, *here
    )
    redraft = ("template", "redraft", "draft.yaml", "--by", AUTHOR, "--reason", "Clearer", *here)
    assert "has not changed" in commands.refusal(*redraft)
    Path("draft.yaml").write_text(draft.replace("P14D", "P7D"), encoding="utf-8")
    assert commands.answer(*redraft)["revision"] == 2
