"""The native modules of the guest for CPython, and a small kernel behind them, so that host tests run the code that ships."""
