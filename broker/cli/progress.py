"""The bar that commands which take long show on a terminal."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress

Told = Callable[[int, int | None], None]
"""Called with how much is done, and how much there is to do where that is known."""


@contextlib.contextmanager
def showing(title: str) -> Iterator[Told]:
    """Show how far something is on a terminal's standard error; nothing in a pipe."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
