"""Answers: media types and results."""
