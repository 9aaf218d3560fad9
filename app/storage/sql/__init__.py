"""What the SQLite and the PostgreSQL make have in common."""
