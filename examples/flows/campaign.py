"""Call each number of a file, one to a line, once, however often this is run: MINIVOICE_KEY=... campaign.py FILE"""

import os
import sys
import time
from pathlib import Path

from minivoice_client import ApiError, Client

client = Client(os.environ["MINIVOICE_KEY"], base_url=os.environ.get("MINIVOICE_URL", "http://127.0.0.1:8000"))
caller = os.environ.get("CALLER", "+15551230001")
for number in Path(sys.argv[1]).read_text().split():
    while True:
        try:
            call = client.create_call(from_=caller, to=number, idempotency_key=f"campaign-{number}")
        except ApiError as refusal:
            if refusal.status == 429:  # as many calls as the account may have at once: wait for one to end
                time.sleep(refusal.retry_after_seconds or 1)
                continue
            print(number, refusal.error_code, flush=True)
        else:
            print(number, call["id"], flush=True)
        break
