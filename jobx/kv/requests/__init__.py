"""Requests in the store: their entity, their log of events, their deliveries."""
