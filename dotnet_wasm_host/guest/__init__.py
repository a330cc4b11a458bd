"""The managed side, called."""
