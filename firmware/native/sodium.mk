# The parts of libsodium that programs here compile, and how. Included by the makefiles of the runtime and of native programs.
# Needs SODIUM (the unpacked source); gives SODIUM_VERIFY, SODIUM_SIGN (objects below BUILD), SODIUM_CFLAGS.
# A program that only verifies links none of the signing code: sections that nobody reaches are dropped, and the list of
# forbidden symbols in each makefile proves it. Nothing here can reach random bytes: that function is nowhere defined.

SODIUM_SRC = $(SODIUM)/src/libsodium

# CONFIGURED: this makefile stands for ./configure. STATIC: no visibility attributes.
SODIUM_INC = -I$(SODIUM_SRC)/include -DSODIUM_STATIC=1
SODIUM_CFLAGS = $(SODIUM_INC) -I$(SODIUM_SRC)/include/sodium -DCONFIGURED=1 -DNATIVE_LITTLE_ENDIAN=1 -DHAVE_TI_MODE=1 -w

SODIUM_VERIFY = $(addprefix sodium/, \
	crypto_aead/chacha20poly1305/aead_chacha20poly1305.o \
	crypto_core/ed25519/ref10/ed25519_ref10.o \
	crypto_generichash/blake2b/ref/blake2b-compress-ref.o \
	crypto_generichash/blake2b/ref/blake2b-ref.o \
	crypto_generichash/blake2b/ref/generichash_blake2b.o \
	crypto_hash/sha256/cp/hash_sha256_cp.o \
	crypto_hash/sha512/cp/hash_sha512_cp.o \
	crypto_onetimeauth/poly1305/donna/poly1305_donna.o \
	crypto_onetimeauth/poly1305/onetimeauth_poly1305.o \
	crypto_sign/ed25519/ref10/open.o \
	crypto_sign/ed25519/ref10/sign.o \
	crypto_stream/chacha20/ref/chacha20_ref.o \
	crypto_stream/chacha20/stream_chacha20.o \
	crypto_verify/verify.o)

SODIUM_SIGN = $(SODIUM_VERIFY) sodium/crypto_sign/ed25519/ref10/keypair.o

$(BUILD)/sodium/%.o: $(SODIUM_SRC)/%.c
	$(Q)mkdir -p $(dir $@)
	$(Q)$(CC) $(BASE_CFLAGS) $(SODIUM_CFLAGS) -MMD -c -o $@ $<
