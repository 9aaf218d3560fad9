"""Exports openapi/openapi.json; with --check, fails when it is not what the code says."""

import sys
from pathlib import Path
from typing import Any, cast

import orjson

from app.telemetry.metrics import Metrics
from app.telemetry.tracing import Tracing
from rest_api.server import RestOptions, build_rest_app

TARGET = Path(__file__).resolve().parent.parent / "openapi" / "openapi.json"
VERSION = "v1"
"""Of the API, not of the package: a release alone must not change the document."""


def document() -> bytes:
    """The document as it is committed: sorted where order says nothing, and readable in a diff."""
    nothing = cast("Any", None)  # the document knows routes only, not what stands behind them
    app = build_rest_app(nothing, nothing, Tracing(), Metrics(), options=RestOptions(version=VERSION))
    return orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2) + b"\n"


def main() -> int:
    """Write it, or compare it."""
    fresh = document()
    if "--check" in sys.argv[1:]:
        if TARGET.is_file() and TARGET.read_bytes() == fresh:
            return 0
        print(f"{TARGET.name} is not what the code says: run `make openapi`", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(fresh)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
