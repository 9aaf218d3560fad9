"""Reading model references and endpoints that callers wrote."""

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.secrets import Secret
from app.models.references import spec_of


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("openai:gpt-5", "openai:gpt-5"),
        ("openai-responses:gpt-5", "openai-responses:gpt-5"),
        ("claude:claude-sonnet-4-5", "anthropic:claude-sonnet-4-5"),
        ("gemini:gemini-2.5-pro", "google:gemini-2.5-pro"),
        ("qwen:qwen-max", "alibaba:qwen-max"),
        ("ark:ep-20240101", "doubao:ep-20240101"),
        ("glm:glm-4.6", "zai:glm-4.6"),
        ("ollama:llama3:8b", "ollama:llama3:8b"),
        ("vllm:org/model", "vllm:org/model"),
        (" OpenAI:gpt-5 ", "openai:gpt-5"),
        ("interpreter", "interpreter"),
        ("gpt-5", "openai:gpt-5"),
        ("o3-mini", "openai:o3-mini"),
        ("claude-sonnet-4-5", "anthropic:claude-sonnet-4-5"),
        ("gemini-2.5-flash", "google:gemini-2.5-flash"),
        ("deepseek-chat", "deepseek:deepseek-chat"),
        ("qwen3:8b", "alibaba:qwen3:8b"),
        ("glm-4.6", "zai:glm-4.6"),
        ("doubao-1-5-pro", "doubao:doubao-1-5-pro"),
    ],
)
def test_a_reference_names_provider_and_model(reference: str, expected: str) -> None:
    assert spec_of(reference).reference == expected


def test_an_unrecognised_name_with_an_endpoint_is_openai_compatible() -> None:
    spec = spec_of("my-model", base_url="http://10.0.0.5:9000/v1/")

    assert (spec.reference, spec.base_url) == ("openai-compatible:my-model", "http://10.0.0.5:9000/v1")


@pytest.mark.parametrize(
    "reference",
    ["", "my-model", "nonsense:model", "openai:", "gpt 5", "gpt\n5", "x" * 300, ":", "openai:\x00"],
)
def test_what_names_no_model_is_refused(reference: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        spec_of(reference)

    assert caught.value.violations[0].field == "model"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "host/v1",
        "http://",
        "http://user:secret@host/v1",
        "http://host/v1?key=secret",
        "http://host/v1#here",
        "http://host:99999999/v1",
        "http://ho st/v1",
        "http://[::1/v1",
        "http://host/" + "x" * 3_000,
        "file:///etc/passwd",
        "",
    ],
)
def test_what_is_no_plain_endpoint_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        spec_of("openai:gpt-5", base_url=url)

    assert caught.value.violations[0].field == "model_base_url"
    assert "secret" not in caught.value.message


def test_an_empty_key_is_no_key() -> None:
    assert spec_of("openai:gpt-5", api_key=Secret("")).api_key is None


def test_a_spec_does_not_print_its_key() -> None:
    assert "sk-secret" not in repr(spec_of("openai:gpt-5", api_key=Secret("sk-secret")))


def test_only_settings_that_were_given_are_sent() -> None:
    assert spec_of("gpt-5").settings() == {}
    assert spec_of("gpt-5", temperature=0.0, max_output_tokens=9).settings() == {
        "temperature": 0.0,
        "max_tokens": 9,
    }
