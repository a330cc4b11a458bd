"""The worker under load: ``python -m benchmarks.http``."""
