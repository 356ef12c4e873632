"""The Python client of MiniVoice.

from minivoice_client import Client

client = Client("mv_live_…", base_url="https://voice.example.com")
call = client.create_call(from_="+15551230001", to="+15551230002")
"""

from minivoice_client.errors import ApiError, ConnectionFailed, MiniVoiceError
from minivoice_client.operations import Client
from minivoice_client.webhooks import InvalidSignature, verify

__all__ = ["ApiError", "Client", "ConnectionFailed", "InvalidSignature", "MiniVoiceError", "verify"]
