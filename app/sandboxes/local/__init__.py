"""The `local` sandbox: files, Python code and SQLite, from pip packages alone."""
