"""HTTP for guests: what a policy allows, carried out by httpx. Only this package imports it."""
