"""dotnet_wasm_host and its peers, measured on the same work in one session.

Run it with ``python -m benchmarks``; docs/performance.md says what is measured how.
"""
