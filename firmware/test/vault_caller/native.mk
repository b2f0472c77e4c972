# What the caller of vault links: it checks signatures and makes none. Included by firmware/native/Makefile.
CRYPTO = verify
