"""``concordat agreement validate``, and what is published of the model and the rules."""

from pathlib import Path
from typing import Annotated

import typer

from broker.cli.agreements import agreement_app
from broker.cli.files import read_limited
from broker.cli.options import Json, print_json

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        exists=True,
        dir_okay=False,
        readable=True,
        help="One or more; several are also checked against each other.",
    ),
]


def register(_: typer.Typer) -> None:
    """Nothing to add: the commands are part of ``concordat agreement``."""


@agreement_app.command("validate")
def validate_files(
    files: Files,
    as_json: Json = False,
) -> None:
    """Say whether an agreement holds together and what the law still asks of it."""
    from agreements.law import why
    from agreements.validating import validate_together
    from schemas.catalogue import shipped

    texts = [(str(file), read_limited(file)) for file in files]
    found = validate_together(texts, catalogue=shipped())
    valid = all(validation.is_valid for _, validation in found)
    if not as_json:
        for name, validation in found:
            for problem in validation.problems:
                typer.echo(f"{name}: {problem.severity}: {problem}")
                if (rule := why(problem.code)) is not None:
                    typer.echo(f"    why: {rule}")
            typer.echo(f"{name} {'is valid' if validation.is_valid else 'is not valid'}")
    elif len(found) == 1:
        print_json(found[0][1].to_json())
    else:
        answers = [{"file": name, **validation.to_json()} for name, validation in found]
        print_json({"valid": valid, "files": answers})
    raise typer.Exit(0 if valid else 1)


@agreement_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of an agreement, with which editors complete and check YAML."""
    from agreements.published.schema import schema_text

    typer.echo(schema_text(), nl=False)


@agreement_app.command("codes")
def codes() -> None:
    """Print the codes that agreements use, with their sources and when they are in force."""
    from agreements.published.pages import codes_page

    typer.echo(codes_page(), nl=False)


@agreement_app.command("rules")
def rules(
    as_json: Json = False,
) -> None:
    """Print the rules that an agreement is checked against, with their sources."""
    from agreements.law import RULES
    from agreements.published.pages import rules_page

    if not as_json:
        typer.echo(rules_page(), nl=False)
        return
    print_json(
        {
            "rules": [
                {
                    "code": rule.code,
                    "title": rule.title,
                    "source": rule.source,
                    "severity": rule.severity,
                    "stops_flow": rule.legal,
                }
                for rule in RULES
            ]
        }
    )


@agreement_app.command("lifecycle")
def lifecycle(
    as_json: Json = False,
) -> None:
    """Print the states of an agreement, what moves it from one to another, and whose word."""
    from agreements.lifecycle import MOVES
    from agreements.lifecycle.page import lifecycle_page

    if as_json:
        print_json({"moves": [move.to_json() for move in MOVES]})
    else:
        typer.echo(lifecycle_page(), nl=False)
