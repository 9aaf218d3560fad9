"""The one door: every use case of the gateway, once, for all protocols."""
