"""Datagrams over NSQ, by pynsq. Nothing else imports ``nsq``."""
