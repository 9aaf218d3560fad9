"""`python -m app` and the `agent-gateway` command."""

from app.cli import main

if __name__ == "__main__":
    main()
