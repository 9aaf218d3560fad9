"""Model providers: which exist, how one is built, when a call is tried again, what it costs."""
