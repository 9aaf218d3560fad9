"""A value that does not print."""

from dataclasses import dataclass

MASK = "********"


@dataclass(frozen=True, slots=True, eq=True, repr=False)
class Secret:
    """A key or password: `str()`, `repr()` and formatting show `********`; `reveal()` the value."""

    _value: str

    def reveal(self) -> str:
        """The value itself; only at the wire that needs it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK
