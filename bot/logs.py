"""The log: structlog draws what the standard library's loggers say, for people or as JSON, without secrets."""

import logging
import sys

import structlog
from structlog.types import EventDict, WrappedLogger

from bot.core.text import clean_terminal
from bot.core.tracing import current_trace
from bot.security.masks import mask
from bot.security.redaction import is_secret_name, redact

OWN = frozenset({"level", "timestamp", "trace"})
"""What structlog and this module write themselves: nothing of it comes from outside."""
LINE_CHARACTERS = 32_000
"""A line of the log, tracebacks included, is cut to this before it is masked."""


def masked(text: str) -> str:
    """Return a line of our own log without secrets and terminal control."""
    return redact(clean_terminal(text[:LINE_CHARACTERS]))


def _masked(value: object) -> object:
    match value:
        case str():
            return masked(value)
        case dict():
            return {name: _named(name, one) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(one) for one in value]
        case int() | float() | None:
            return value
        case _:
            return masked(str(value))


def _mask(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {key: value if key.startswith("_") or key in OWN else _named(key, value) for key, value in event.items()}


def _named(name: object, value: object) -> object:
    """Return a value without secrets; under a telling name (`token`, `password`) a text is masked whole."""
    if isinstance(name, str) and isinstance(value, str) and value and is_secret_name(name):
        return mask("secret")
    return _masked(value)


def _traced(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Add the id of what the current task does, and no other in its place."""
    event.pop("trace", None)
    trace = current_trace()
    if trace:
        event["trace"] = trace
    return event


def set_up(level: str, form: str) -> None:
    """Send every logger of the process to one place in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        _traced,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    is_json = form == "json"
    drawn: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, _mask, structlog.processors.JSONRenderer()]
        if is_json
        else [structlog.processors.format_exc_info, _mask, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *drawn]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in (
        "slack_bolt",
        "slack_sdk",
        "aiohttp",
        "httpx",
        "httpcore",
        "apscheduler",
        "uvicorn.access",
        "aiosqlite",
        "alembic",
    ):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(wrapper_class=structlog.stdlib.BoundLogger, logger_factory=structlog.stdlib.LoggerFactory())
