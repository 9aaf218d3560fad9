"""Receives webhooks of a gateway and verifies them, with the standard library alone.

    WEBHOOK_SECRET=whsec_... python examples/webhook_receiver.py 9000

The gateway must be told that it may lead here: GATEWAY_WEBHOOKS__ALLOWED_HOSTS='["127.0.0.1:9000"]'
"""

import base64
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer

TOLERANCE_S = 300
MAX_BODY_BYTES = 1024 * 1024


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether the message was signed with the secret, and not long ago (Standard Webhooks)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    wanted = base64.b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256"))
    signatures = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(b"v1," + wanted, signature.encode()) for signature in signatures)


class Receiver(BaseHTTPRequestHandler):
    """Answers first and thinks later: here it only prints."""

    def do_POST(self) -> None:
        """One message."""
        body = self.rfile.read(min(int(self.headers.get("content-length", 0)), MAX_BODY_BYTES))
        if not is_genuine(
            os.environ["WEBHOOK_SECRET"],
            {name.lower(): value for name, value in self.headers.items()},
            body,
            time.time(),
        ):
            self.send_error(401)
            return
        self.send_response(204)
        self.end_headers()
        message = json.loads(body)
        task = message["data"].get("task", {})
        print(message["type"], task.get("id"), message["data"].get("seq"), task.get("state"), flush=True)


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
