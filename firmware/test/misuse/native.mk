# What the misuse test links. Included by firmware/native/Makefile.
CRYPTO = verify
