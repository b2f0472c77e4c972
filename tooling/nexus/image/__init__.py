"""From a checked recipe to one bootable file: a module per build stage. Imports nothing by itself."""
