"""Every built-in tool."""

from app.domain.secrets import Secret
from app.tools.base import Tool
from app.tools.builtin.calculator import Calculator
from app.tools.builtin.clock import CurrentTime, Wait
from app.tools.builtin.code import python
from app.tools.builtin.data import sqlite_query
from app.tools.builtin.fetch import HttpFetch
from app.tools.builtin.files import file_tools
from app.tools.builtin.human import AskUser
from app.tools.builtin.search import WebSearch
from app.tools.egress import Egress


def built_in_tools(
    egress: Egress, *, search_url: str | None = None, search_api_key: Secret | None = None
) -> list[Tool]:
    """The tools of a gateway. Without `search_url`, web_search is there but says it is not configured."""
    return [
        Calculator(),
        *file_tools(),
        python(),
        sqlite_query(),
        HttpFetch(egress),
        WebSearch(search_url, search_api_key),
        AskUser(),
        CurrentTime(),
        Wait(),
    ]
