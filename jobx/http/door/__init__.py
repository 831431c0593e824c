"""The door in front of the application: who may come in."""
