"""The SQLite make: one process, group commit on one writer thread."""
