"""The agreements of the demo, as files that an information governance officer could read."""

from importlib.resources import files


def texts() -> dict[str, str]:
    """Return each agreement's text by its file's name."""
    found = (entry for entry in files(__name__).iterdir() if entry.name.endswith(".yaml"))
    return {entry.name: entry.read_text("utf-8") for entry in sorted(found, key=lambda e: e.name)}
