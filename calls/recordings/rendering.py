"""A recording as JSON: what the API answers, and what webhooks are told."""

from datetime import datetime
from typing import Annotated, TypedDict

from django.conf import settings

from calls.models import Recording
from calls.recordings import links
from minivoice import schema
from minivoice.clock import text

RecordingId = Annotated[str, schema.Keywords({"pattern": r"^rec_call_[0-9]{8}T[0-9]{6}\.[0-9]{9}(-[0-9]+)?$"})]


class RecordingObject(TypedDict):
    """A recording as it is now."""

    id: RecordingId
    call_id: schema.Id
    customer_id: schema.Id
    application_id: schema.Id
    provider_call_id: str | None
    status: Annotated[str, schema.Keywords({"enum": Recording.State.values})]
    storage_type: Annotated[str, schema.Keywords({"enum": Recording.StorageType.values})]
    file_url: Annotated[str | None, "where the audio is, for 15 minutes and without a key; null unless `completed`"]
    duration_seconds: Annotated[int | None, "of the audio; null until it is there"]
    size_bytes: int | None
    created_at: schema.Time
    updated_at: schema.Time


def recording(row: Recording, *, now: datetime) -> RecordingObject:
    """Return the recording object of the API, with a link to the audio that expires."""
    return _object(row, links.sign(_address(row), public_id=row.public_id, now=now))


def webhook(row: Recording) -> RecordingObject:
    """Return the recording object of a webhook; its address asks for an API key."""
    return _object(row, _address(row))


def _address(row: Recording) -> str:
    return f"{settings.BASE_URL}/v1/recordings/{row.public_id}/audio"


def _object(row: Recording, url: str) -> RecordingObject:
    call = row.call
    return {
        "id": row.public_id,
        "call_id": call.public_id,
        "customer_id": call.customer.public_id,
        "application_id": call.application.public_id,
        "provider_call_id": str(call.provider_call_id) if call.provider_call_id else None,
        "status": row.state,
        "storage_type": row.storage_type,
        "file_url": url if row.state == Recording.State.COMPLETED else None,
        "duration_seconds": row.duration_seconds,
        "size_bytes": row.size_bytes,
        "created_at": text(row.created_at),
        "updated_at": text(row.updated_at),
    }
