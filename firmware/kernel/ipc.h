/* How a message's register word is laid out (SYS_CALL, SYS_RECV, SYS_REPLY in recipes/contract/abi.toml). Used by ipc.c and its tests. */
#pragma once

enum {
    WORD_LENGTH_MASK = 0xffff,
    WORD_CAPS = 16,       /* 4 bits: capabilities moved */
    WORD_GRANTS = 20,     /* 4 bits: objects granted, replies only */
    WORD_ACCEPT = 24,     /* 8 bits: capabilities accepted */
    WORD_COUNT_MAX = 0xf,
    WORD_ACCEPT_MAX = 0xff,
};
#define WORD_CALL_BITS 0xff0ffffful
