"""Shared parts of commands: exits, output, parsing, tables, the gateway's client."""
