"""The README's tour does what the README says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXPLAINED_ID = "964d5290-fd5b-571c-aa33-c3069e2fd495"


def tour_commands() -> list[str]:
    """Return the lines of the README's block behind the mark ``<!-- tour -->``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- tour -->\n```sh\n(.*?)```", text, flags=re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def test_the_tour_takes_ten_commands_from_an_empty_folder_to_an_opened_delivery(
    tmp_path: Path,
) -> None:
    """Issue item 4: the tour can be followed by hand, and one of three events is delivered."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    setting, *commands = tour_commands()
    name, _, value = setting.removeprefix("export ").partition("=")
    environ = {**os.environ, name: value, "COLUMNS": "200"}
    program = str(Path(sys.executable).with_name("concordat"))
    printed: dict[str, str] = {}
    ids: list[str] = []
    for command in commands:
        words = shlex.split(command.replace(EXPLAINED_ID, ids[0] if ids else EXPLAINED_ID))
        assert words[0] == "concordat"
        done = subprocess.run(
            [program, *words[1:]],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed[words[1]] = done.stdout
        if words[1] == "publish":
            ids = done.stdout.splitlines()[:3]

    assert len(commands) == 10
    assert "published 3, rejected 0" in printed["publish"]
    assert "opened 1 into" in printed["receive"]
    assert "it agrees" in printed["explain"]
    delivered = (tmp_path / "town/received/anytown-virtual-school.jsonl").read_text()
    assert '"record":{"upn":"G330200112001","localAuthority":"E09000033","birthDate":2013}' in (
        delivered
    )
