"""Logs for operators: one JSON line for each outcome, to standard output in service.

Never a payload, a name, a secret or local variables; evidence never depends
on a log.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

from broker.settings import LogSettings


def configure_logs(settings: LogSettings, *, stream: TextIO | None = None) -> None:
    """Set the process's logging up, for our own lines and the libraries' alike."""
    level = getattr(logging, settings.level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Local variables would put payloads into the log.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    rendering: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
        ]
        if settings.json_lines
        else [
            structlog.dev.ConsoleRenderer(
                exception_formatter=structlog.dev.plain_traceback, colors=sys.stderr.isatty()
            )
        ]
    )
    target = stream or (sys.stdout if settings.json_lines else sys.stderr)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    # The libraries' chatter is only of use to someone who asked for it.
    root.setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    logging.getLogger("aiokafka").setLevel(_level_of_kafka(level))


def _level_of_kafka(level: int) -> int:
    """Return from which level on lines of Kafka's client are told.

    While a broker is away or a topic is new it writes several lines a second, and
    tries again by itself; what comes of it our own lines say. Its errors may tell why
    (a refused password), so they are kept from those alone who want errors only.
    """
    if level == logging.DEBUG:
        return level
    return logging.CRITICAL if level >= logging.ERROR else logging.ERROR
