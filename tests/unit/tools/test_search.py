"""Searching through a service on loopback."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from app.domain.errors import InvalidRequestError, NotConfiguredError, ToolFailedError
from app.domain.secrets import Secret
from app.tools.builtin.search import WebSearch
from app.tools.registry import ToolRegistry
from tests.unit.tools.context import FakeContext
from tests.unit.tools.servers import plain, redirect, serving

FOUND = json.dumps(
    {
        "query": "x",
        "number_of_results": 3,
        "results": [
            {
                "title": "First",
                "url": "https://one.test/",
                "content": "About one.",
                "engine": "a",
                "score": 1.5,
            },
            {"title": "Second", "url": "https://two.test/", "content": None},
            {"title": "Third", "url": "https://three.test/"},
        ],
    }
).encode()


def registry_of(url: str | None, key: str | None = None) -> ToolRegistry:
    return ToolRegistry([WebSearch(url, Secret(key) if key else None)])


async def test_results_come_numbered_and_as_data() -> None:
    async with serving({"/search": plain(FOUND, content_type="application/json")}) as server:
        registry = registry_of(server.url("/search?language=en"), "key-1")
        result = await registry.execute(
            "web_search", {"query": "grün & blau", "max_results": 2}, FakeContext()
        )
        again = await registry.execute(
            "web_search", {"max_results": 2, "query": "grün & blau"}, FakeContext()
        )

    assert result.output == "1. First\n   https://one.test/\n   About one.\n2. Second\n   https://two.test/"
    assert isinstance(result.data, dict)
    assert [one["title"] for one in result.data["results"]] == ["First", "Second"]
    assert again.cached
    [request] = server.seen
    query = parse_qs(urlsplit(request.split(" ")[1]).query)
    assert query == {"language": ["en"], "q": ["grün & blau"], "format": ["json"]}
    assert "\r\nAuthorization: Bearer key-1\r\n" in request


async def test_unconfigured_it_is_listed_with_the_reason_and_cannot_be_called() -> None:
    registry = registry_of(None)

    [info] = registry.list()

    assert (info.available, "SEARCH_URL" in (info.unavailable_reason or "")) == (False, True)
    with pytest.raises(NotConfiguredError, match="SEARCH_URL"):
        await registry.execute("web_search", {"query": "x"}, FakeContext())


async def test_the_key_stays_with_its_service() -> None:
    async with serving({"/search": plain(FOUND)}) as other:
        routes = {"/search": redirect(other.url("/search")), "/moved": redirect("/new"), "/new": plain(FOUND)}
        async with serving(routes) as server:
            # Loopback is allowed for the service's own port only.
            with pytest.raises(ToolFailedError):
                await registry_of(server.url("/search"), "key-1").execute(
                    "web_search", {"query": "x"}, FakeContext()
                )
            moved = registry_of(server.url("/moved"), "key-1")
            assert (await moved.execute("web_search", {"query": "x"}, FakeContext())).ok

    assert other.seen == []
    assert "Bearer key-1" in server.seen[-1]


@pytest.mark.parametrize(
    ("path", "says"), [("/html", "cannot be read"), ("/limit", "status 429"), ("/none", "status 404")]
)
async def test_a_service_that_does_not_answer_well_is_a_failure(path: str, says: str) -> None:
    routes = {"/html": plain(b"<html>"), "/limit": plain(b"", status="429 Too Many Requests")}
    async with serving(routes) as server:
        with pytest.raises(ToolFailedError, match=says):
            await registry_of(server.url(path)).execute("web_search", {"query": "x"}, FakeContext())


async def test_an_unreachable_service_is_not_named(free_port: int) -> None:
    with pytest.raises(ToolFailedError) as caught:
        await registry_of(f"http://127.0.0.1:{free_port}/s").execute(
            "web_search", {"query": "x"}, FakeContext()
        )

    assert "127.0.0.1" not in str(caught.value) + str(caught.value.facts)


@pytest.mark.parametrize(
    "arguments", [{}, {"query": ""}, {"query": "x", "max_results": 0}, {"query": "x" * 500}]
)
async def test_limits_of_the_arguments(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        await registry_of("http://127.0.0.1:1/").execute("web_search", arguments, FakeContext())
