"""Files, streams and the WASI calls behind them."""
