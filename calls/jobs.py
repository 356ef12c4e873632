"""All kinds of staff's jobs: whoever asks for one, or does one, imports this."""

from calls import books, exports, papers, previews
from webhooks import replaying

__all__ = ["books", "exports", "papers", "previews", "replaying"]
