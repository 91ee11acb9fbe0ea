"""The command line: one program, subjects as sub-commands."""


def main() -> None:
    """Run ``concordat``."""
