"""A scripted LLM: a real HTTP server that speaks the providers' protocols and says what a test wants."""
