"""Spans, metrics and logs: the only room that knows how they are made and what they are called."""
