"""Calls as OpenTelemetry has them: spans and metrics."""
