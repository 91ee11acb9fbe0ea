"""What several modules of these tests share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def log(base: Path, tmp_path: Path) -> Path:
    """Return a copy, of this test's own, of the log that its module has made."""
    return Path(shutil.copytree(base, tmp_path / "log"))
