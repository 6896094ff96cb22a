"""The log of a service: a line of JSON for each thing it says, without secrets.

Of a request only the method, the path and the status are ever named: queries hold signatures and invitations,
headers hold cookies and tokens.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec

logger = logging.getLogger("synthscars.services")


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Say one thing. fields: JSON, chosen by whoever writes the call, never taken over as a whole."""
    logger.log(level, msgspec.json.encode({"event": event, **fields}).decode())


class JsonLines(logging.Formatter):
    """Formats what this package says, and what its libraries say, as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        said = record.getMessage()
        try:
            fields = msgspec.json.decode(said, type=dict[str, Any])
        except msgspec.DecodeError:
            fields = {"event": "log", "logger": record.name, "message": said}
        if record.exc_info and record.exc_info[0] is not None:
            # Where, but not the message: it may hold anything that was sent.
            fields["error"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            if trace is not None:
                fields["at"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            fields.pop("message", None)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return msgspec.json.encode({"time": stamp, "level": record.levelname, **fields}).decode()


def log_to_stderr() -> None:
    """Everything that this package says; of its libraries only what went wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name, level in (
        ("synthscars", logging.INFO),
        ("uvicorn.error", logging.WARNING),
        ("httpx", logging.WARNING),
        ("asyncio", logging.ERROR),
    ):
        known = logging.getLogger(name)
        known.setLevel(level)
        known.handlers = [handler]
        known.propagate = False
