"""The measurements by name; each is a file with one function that returns rows."""
