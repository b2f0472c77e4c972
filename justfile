# The verbs of this repository, for people and CI; `./scripts/just` runs them from any folder and sets the clone up first.
# Bodies hold no logic: what a verb does is in tooling/nexus.

set positional-arguments
set shell := ["sh", "-eu", "-c"]

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

_list:
    @just --list --unsorted

# Build a system's image: [--system S]
build *ARGS:
    @python -P -m nexus build-image "$@"

# Build what changed, boot it, show its log: [--system S]
run *ARGS:
    @python -P -m nexus run "$@"

# All that must pass before a change goes in: lint, test-host, fuzz, test-os, test-kernel; or only the steps named
test *ARGS:
    @python -P -m nexus.steps test "$@"

# Tests that need no machine: the host tool, the guest's modules under CPython, the kernel's tables; takes pytest's options
test-host *ARGS:
    @python -P -m pytest --ignore=tests/os --numprocesses auto --dist loadfile --no-loadscope-reorder "$@"

# Boot the selftest system and judge its console, then the boots that must fail; options of nexus test-os, or -k EXPRESSION
test-os *ARGS:
    @python -P -m nexus.steps test-os "$@"

# Attack the kernel from inside the machine: the proof image
test-kernel *ARGS:
    @python -P -m nexus test-kernel "$@"

# `test`, then test-micropython, mutants and bench; or only the steps named
test-all *ARGS:
    @python -P -m nexus.steps test-all "$@"

# MicroPython's own tests and benchmarks on the booted system: [--target bare] [--only DIRECTORY|TEST|perfbench] [--json FILE]
test-micropython *ARGS:
    @python -P -m nexus.micropython "$@"

# Fuzz the decoders, or those named (policy_parser, keystored_request, ...): [--runs N | --seconds S] [--seed N]
fuzz *ARGS:
    @python -P -m nexus.fuzz "$@"

# Plant each bug of tests/mutants in a copy; the test named for it must fail
mutants *ARGS:
    @python -P -m nexus mutants "$@"

# Measure the system in exact instruction counts
bench *ARGS:
    @python -P -m nexus bench "$@"

# What needs no run: ruff (takes its options, as --fix), types, style and shell scripts
lint *ARGS:
    @ruff check "$@" && ruff format --check
    @mypy
    @python -P -m pytest -q tests/unit/test_style.py

# Format all Python
fmt *ARGS:
    @ruff check --select I --fix --quiet && ruff format "$@"
