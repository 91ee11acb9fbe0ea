"""The command line: one program, subjects as sub-commands.

Exit status: 0 done, 1 the answer is no, 2 wrong use, whatever the scheme holds. What
was asked for goes to standard output, errors go to standard error in a sentence that
says what to do next. Each command reads the settings, builds the parts and hands them
to a function that holds the work.
"""

import sys
from typing import NoReturn

import typer
from pydantic import ValidationError

from broker.cli import (
    agreement_checking,
    agreement_drafts,
    agreement_exchange,
    agreement_life,
    agreement_reading,
    agreement_signing,
    agreement_trying,
    agreements,
    audit,
    audit_acts,
    audit_forget,
    audit_papers,
    audit_reconcile,
    bench,
    counts,
    demo,
    edge,
    evidence,
    evidence_export,
    explain,
    hold,
    keys,
    receipt,
    retention,
    scheme,
    service,
    template_life,
    templates,
    witness,
)
from broker.cli.options import WrongUse
from schemas.errors import ConcordatError

app = typer.Typer(
    name="concordat",
    help="Share case events under the agreements that the parties signed, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (
    demo,
    scheme,
    agreements,
    agreement_reading,
    agreement_drafts,
    agreement_signing,
    agreement_life,
    agreement_checking,
    agreement_exchange,
    agreement_trying,
    templates,
    template_life,
    edge,
    service,
    explain,
    evidence,
    evidence_export,
    retention,
    witness,
    receipt,
    audit,
    audit_acts,
    audit_forget,
    audit_reconcile,
    counts,
    audit_papers,
    hold,
    keys,
    bench,
):
    part.register(app)


def main() -> NoReturn:
    """Run ``concordat`` and turn our errors into a sentence and an exit status."""
    try:
        app(standalone_mode=True)
    except WrongUse as error:
        sys.stderr.write(f"concordat: {error}\n")
        sys.exit(2)
    except ConcordatError as error:
        sys.stderr.write(f"concordat: {error}\n")
        sys.exit(1)
    except ValidationError as error:
        # Without the input: it may be a secret, or what somebody's case system said.
        for problem in error.errors(include_input=False, include_url=False):
            place = ".".join(map(str, problem["loc"])) or "the input"
            sys.stderr.write(f"concordat: {place}: {problem['msg'].lower()}\n")
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"concordat: {error.filename or 'the system'}: {error.strerror}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports SIGINT
    sys.exit(0)
