/*
 * The only two functions that look at user memory. They accept only RAM frames that the caller has mapped for itself with
 * the right needed, and check every page before the first byte moves: both succeed whole or do nothing.
 */
#include "kernel.h"

/* RAM that a process may have the kernel read or write for it: its own pages; read-only parts of the image to read. */
static bool acceptable(uint64_t pa, uint32_t access) {
    const struct frame *frame = frame_of(pa);
    if (frame == 0) return false;
    switch (frame->type) {
    case FRAME_USER: case FRAME_IPC: case FRAME_KEPT: case FRAME_REGION: return true;
    case FRAME_IMAGE: return !(access & IMAGE_W);
    default: return false;
    }
}

/* Bytes from address to the end of its page, at most the bytes left. */
static uint64_t piece(uint64_t address, uint64_t left) {
    uint64_t in_page = PAGE_BYTES - address % PAGE_BYTES;
    return left < in_page ? left : in_page;
}

static status_t check(struct process *p, uint64_t address, uint64_t bytes, uint32_t access) {
    if (bytes == 0 || address + bytes < address) return E_BAD_POINTER;
    for (uint64_t done = 0; done < bytes; done += piece(address + done, bytes - done)) {
        uint64_t pa = map_find(p, address + done, access);
        if (pa == 0 || !acceptable(pa, access)) return E_BAD_POINTER;
    }
    return E_OK;
}

status_t copy_in(struct process *p, void *to, user_ptr from, uint64_t bytes) {
    status_t status = check(p, from.address, bytes, IMAGE_R);
    if (status != E_OK) return status;
    for (uint64_t done = 0, n; done < bytes; done += n) {
        n = piece(from.address + done, bytes - done);
        __builtin_memcpy((uint8_t *)to + done, (const void *)map_find(p, from.address + done, IMAGE_R), n);
    }
    return E_OK;
}

status_t copy_out(struct process *p, user_ptr to, const void *from, uint64_t bytes) {
    status_t status = check(p, to.address, bytes, IMAGE_W);
    if (status != E_OK) return status;
    for (uint64_t done = 0, n; done < bytes; done += n) {
        n = piece(to.address + done, bytes - done);
        __builtin_memcpy((void *)map_find(p, to.address + done, IMAGE_W), (const uint8_t *)from + done, n);
    }
    return E_OK;
}
