"""The gateway as `agent-gateway serve` runs it, with the scripted agent beside the built-in ones."""

import sys

from app import process
from app.bootstrap.gateway import Gateway, open_gateway
from app.settings import Settings
from app.telemetry.logging import configure_logging
from tests.bench.servers.script import RUNTIMES


def announce(gateway: Gateway) -> None:
    """Tell the ports, as the command does."""
    for line in gateway.banner:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    settings = Settings()
    configure_logging(settings.telemetry.log_level, style=settings.telemetry.log_format)
    process.run(lambda: process.serve(open_gateway(settings, runtimes=RUNTIMES), announce=announce))
