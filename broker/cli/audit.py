"""``concordat audit``: the auditor's questions, each with who asks and why."""

import typer

audit_app = typer.Typer(
    help="The auditor's questions; each is recorded with who asked and why.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``concordat``."""
    app.add_typer(audit_app, name="audit")
