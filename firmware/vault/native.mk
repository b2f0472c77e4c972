# What vault links. Included by firmware/native/Makefile; the only program of a system for use that may sign.
CRYPTO = sign
