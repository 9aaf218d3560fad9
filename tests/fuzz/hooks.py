"""What schemathesis should not try, because we take it on purpose."""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out unknown headers (proxies, browsers and tracers add theirs) and nulls in bodies.

    A null is a field that is not set, as in the JSON form of protobuf; the document does not
    advertise it, because generators garble unions with null.
    """
    del context
    return "x-schemathesis-unknown-property" not in (case.headers or {}) and not _has_null(case.body)


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_null(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_null(item) for item in value)
    return value is None
