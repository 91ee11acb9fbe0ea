"""Write the test vectors: ``python tests/vectors/write.py``.

One file a subject under ``schemas/vectors/``; a test fails when a file is not what
this script would write. Everything is made from fixed inputs but the HPKE-wrapped
keys, which are random: those in the files are kept as long as they unwrap.

To add a subject: a function without arguments that returns the file's content,
in a module beside this one, and a line in ``FILES``. Parts that `schemas` must not
import (agreements, the broker's decision record) may be imported here.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from vectors import documents, events, security  # noqa: E402  the path first

FOLDER = ROOT / "schemas" / "vectors"
FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "keys.json": security.keys,
    "merkle.json": security.tree,
    "signing.json": security.signing,
    "sealed.json": security.sealed,
    "control.json": security.control,
    "envelope.json": events.envelope,
    "framing.json": events.framing,
    "scanning.json": events.scanning,
    "identifiers.json": events.identifiers,
    "agreement-signature.json": documents.agreement_signature,
    "decision-record.json": documents.decision_record,
}


def text_of(name: str) -> str:
    """Return what the file should hold."""
    return json.dumps(FILES[name](), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for name in FILES:
        (FOLDER / name).write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
