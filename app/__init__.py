"""The gateway domain and everything behind its door."""
