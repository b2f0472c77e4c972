"""MicroPython's own tests and benchmarks against this port: outcomes.py judges, harness.py runs upstream's scripts, targets.py gives them a machine."""
