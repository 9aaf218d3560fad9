"""What happens around every call, once, in one order."""
