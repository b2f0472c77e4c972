# What the crypto test links and reads. Included by firmware/native/Makefile; the only test program that may sign.
CRYPTO = sign
VECTORS = ed25519 hash aead
