"""Durable state: the store's contract, its back ends, and their contents."""
