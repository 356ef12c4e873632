"""Log lines that carry the request and call they belong to, readable in a terminal, JSON elsewhere."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="")
call_id: ContextVar[str] = ContextVar("call_id", default="")


class Context(logging.Filter):
    """Put the current request id and call id on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        request, call = request_id.get(), call_id.get()
        where = " ".join(part for part in (request, call) if part) or "-"
        vars(record).update(request_id=request, call_id=call, where=where)
        return True


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", ""),
            "call_id": getattr(record, "call_id", ""),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
