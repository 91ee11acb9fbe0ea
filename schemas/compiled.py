"""Take the compiled form of a module where there is one, made of exactly this source.

`make compiled` (``deploy/compile.py``) compiles the modules that every event passes with
mypyc and leaves them in ``.cache/compiled``, beside a list of what they were made from.
The Python source stays what counts: when any of it has changed since (a compiled module
relies on what the others are like), or Python is another, nothing compiled is used. With
``CONCORDAT_TEST_PURE=1`` neither.
"""

import json
import os
import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

PROJECT: Final = Path(__file__).parents[1]
FOLDER: Final = PROJECT / ".cache" / "compiled"
LIST: Final = "made-from.json"
"""Holds ``python`` (the cache tag), ``source`` (what `source_digest` gave) and ``files``
(module to file in the folder)."""
_PACKAGES: Final = ("schemas", "agreements", "connectors", "broker")
_ASIDE: Final = frozenset({"cli", "bench", "demo"})
"""Folders that use the compiled modules and that those know nothing of."""


def use_compiled(folder: Path = FOLDER) -> bool:
    """Have the modules imported from here on be the compiled ones, if they may be."""
    if os.environ.get("CONCORDAT_TEST_PURE") == "1":
        return False
    try:
        made = json.loads((folder / LIST).read_text(encoding="utf-8"))
        is_current = bool(
            made["python"] == sys.implementation.cache_tag and made["source"] == source_digest()
        )
        files = {module: str(folder / name) for module, name in made["files"].items()}
    except (OSError, ValueError, KeyError):
        return False
    if is_current:
        sys.meta_path.insert(0, _Finder(files))
    return is_current


def source_digest() -> str:
    """Return the SHA-256 of the source that compiled modules are made from or rely on."""
    digest = sha256()
    for package in _PACKAGES:
        for file in sorted((PROJECT / package).rglob("*.py")):
            place = file.relative_to(PROJECT)
            if _ASIDE.isdisjoint(place.parts):
                content = file.read_bytes()
                digest.update(f"{place.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


class _Finder(MetaPathFinder):
    """Finds the modules that were compiled."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  as importlib calls it
        target: ModuleType | None = None,  # noqa: ARG002  as above
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)
