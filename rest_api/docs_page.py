"""The page /docs: Swagger UI with all it needs from here, under a policy that lets it load nothing else."""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; "  # Swagger UI writes style attributes
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>agent-gateway</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
"""
_JAVASCRIPT: Final = "text/javascript; charset=utf-8"
_STYLES: Final = "text/css; charset=utf-8"
_FOR_A_DAY: Final = {"Cache-Control": "public, max-age=86400"}
ASSETS: Final = ("/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css")


def docs_routes() -> list[BaseRoute]:
    """The page and what it loads."""
    script, bundle, styles = ASSETS
    return [
        Route("/docs", _page, include_in_schema=False),
        Route(script, _start, include_in_schema=False),
        Route(bundle, _bundle, include_in_schema=False),
        Route(styles, _styles, include_in_schema=False),
    ]


async def _page(request: Request) -> Response:
    del request
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return HTMLResponse(_PAGE, headers=headers)


async def _start(request: Request) -> Response:
    del request
    return Response(_START, headers=_FOR_A_DAY, media_type=_JAVASCRIPT)


async def _bundle(request: Request) -> Response:
    del request
    return _asset("swagger-ui-bundle.js", _JAVASCRIPT)


async def _styles(request: Request) -> Response:
    del request
    return _asset("swagger-ui.css", _STYLES)


def _asset(name: str, media_type: str) -> Response:
    """A file of the package that brings Swagger UI; nobody asks for it twice a day."""
    content = files("fastapi_offline").joinpath("static", name).read_bytes()
    return Response(content, headers=_FOR_A_DAY, media_type=media_type)
