"""The tools every gateway has."""
