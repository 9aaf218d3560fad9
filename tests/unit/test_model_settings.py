"""The process' own model key and endpoint: used for its tasks, stored with none of them."""

import pytest
from pydantic import SecretStr

from app.bootstrap.agents import build_models, defaults_of
from app.domain.errors import DomainError
from app.settings import Settings
from app.tools.egress import Egress


def settings_of(**model: object) -> Settings:
    return Settings(
        model={"default": "openai-compatible:m", "base_url": "http://10.0.0.7:8000/v1", **model},  # pyright: ignore[reportArgumentType]
        auth={"keys": [{"key": SecretStr("x" * 20), "subject": "s"}]},  # pyright: ignore[reportArgumentType]
    )


async def test_the_operators_endpoint_may_be_private_although_callers_may_not_name_such_a_one() -> None:
    models = build_models(settings_of(), Egress(allowed_hosts=()))

    own = models.spec_of("openai-compatible:m", base_url="http://10.0.0.7:8000/v1")
    await models.resolve(own)

    with pytest.raises(DomainError):
        await models.resolve(models.spec_of("openai-compatible:m", base_url="http://10.0.0.8:8000/v1"))
    await models.aclose()


def test_the_operators_key_is_no_part_of_a_tasks_configuration() -> None:
    defaults = defaults_of(settings_of(api_key="sk-operator"))

    assert (defaults.model, defaults.model_api_key) == ("openai-compatible:m", None)
