"""`python -m nexus`, for a checkout without the installed script. Never holds logic: cli.main does."""

from nexus.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
