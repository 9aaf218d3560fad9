"""What all groups of settings are made of."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _plain_seconds(value: object) -> object:
    """`60` from the environment: pydantic takes seconds as a number, not as text."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


Seconds = Annotated[timedelta, BeforeValidator(_plain_seconds), Field(gt=timedelta(0))]
Port = Annotated[int, Field(ge=0, le=65_535)]


class Section(BaseModel):
    """A group of settings: frozen, and refusing names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
