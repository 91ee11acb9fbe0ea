"""Compile the modules that every event passes: ``make compiled``.

Needs a C compiler and what `make setup` installs (mypyc comes with mypy). Where it does
not work it says why in a line and leaves nothing: pure Python does the same, slower.
`schemas.compiled` tells when the result is used.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))
os.environ["CONCORDAT_TEST_PURE"] = "1"

from schemas.compiled import FOLDER, LIST, source_digest, use_compiled  # noqa: E402  found now

MODULES = (
    "schemas.errors",
    "schemas.cbor",
    "schemas.remembering",
    "schemas.times",
    "schemas.layouts",
    "schemas.envelopes",
    "schemas.events",
    "schemas.merkle",
    "schemas.leaves",
    "schemas.signing",
    "schemas.framing",
    "schemas.sealing",
    "schemas.slots",
    "schemas.striding",
    "schemas.walking",
    "schemas.identifiers",
    "agreements.opened",
    "agreements.conditions",
    "agreements.transforms",
    "agreements.cutting",
    "agreements.views",
    "agreements.candidates",
    "agreements.checking",
    "agreements.deciding",
    "connectors.streams.partitioning",
    "connectors.streams.kafka_packing",
    "broker.keyed_hash",
    "broker.accepted",
    "broker.subjects",
    "broker.recording",
    "broker.opening",
    "broker.delivering",
    "broker.routing",
    "broker.record_parts",
    "broker.storage.audit_packing",
    "broker.audit.indexing",
)
PACKAGES = ("schemas", "agreements", "connectors", "broker")


def main() -> None:
    """Compile, or say why not; ends well either way."""
    os.environ["CONCORDAT_TEST_PURE"] = "0"
    if use_compiled():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    if shutil.which(os.environ.get("CC", "cc")) is None:
        say("there is no C compiler (cc)")
        return
    digest = source_digest()
    with tempfile.TemporaryDirectory(prefix="concordat-compile-") as scratch:
        place = Path(scratch)
        for package in PACKAGES:
            shutil.copytree(
                PROJECT / package, place / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(PROJECT / "pyproject.toml", place / "mypy.toml")
        (place / "build.py").write_text(BUILD)
        files = [f"{module.replace('.', '/')}.py" for module in MODULES]
        sys.stdout.write(f"compiling {len(files)} modules; this takes about a minute\n")
        sys.stdout.flush()
        done = subprocess.run(  # noqa: S603  ourselves
            [sys.executable, "build.py", *files],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "error" in line]
            say(lines[0] if lines else (done.stdout + done.stderr)[-300:])
            return
        keep(place / "out", digest)


BUILD = """
import sys
from mypyc.build import mypycify
from setuptools import setup
setup(
    name="concordat-compiled",
    ext_modules=mypycify(
        ["--config-file", "mypy.toml", *sys.argv[1:]],
        opt_level="2", debug_level="0", multi_file=True,
    ),
    packages=[],
    script_args=["--quiet", "build_ext", "--build-lib", "out"],
)
"""
"""What runs in the copy: mypyc writes C, setuptools has it compiled into ``out``."""


def keep(out: Path, digest: str) -> None:
    """Put what was compiled into the folder; the list comes last, so half of it is never used."""
    FOLDER.mkdir(parents=True)
    files = {}
    for file in sorted(out.rglob("*.so")):
        module = ".".join((*file.relative_to(out).parts[:-1], file.name.partition(".")[0]))
        files[module] = f"{module}{file.name[file.name.index('.') :]}"
        shutil.copy(file, FOLDER / files[module])
    made = {"python": sys.implementation.cache_tag, "source": digest, "files": files}
    (FOLDER / LIST).write_text(json.dumps(made, indent=1), encoding="utf-8")
    sys.stdout.write(f"compiled into {FOLDER.relative_to(PROJECT)}\n")


def say(why: str) -> None:
    """Tell that it was not done."""
    sys.stdout.write(f"not compiled, pure Python is used: {why}\n")


if __name__ == "__main__":
    main()
