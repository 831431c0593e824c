"""Carries mail between the actors of several nodes."""
