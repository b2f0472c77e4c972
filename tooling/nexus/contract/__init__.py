"""The facts that two languages share: load.py reads them, emit.py writes them as C and MicroPython. Imports nothing by itself."""
