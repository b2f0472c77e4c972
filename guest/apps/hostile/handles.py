# Every value that a handle can have, with every system call that the runtime offers. Own capabilities are dropped last of all.

import caps
import contract
import kernel
import tries

_GENERATIONS = (0, 1, 2, 3, 0xFFFFFF)
_WILD = (0, 0xFFFF_FFFF, 1 << 32, 1 << 63, (1 << 64) - 1)
_BADGES = (0, contract.BADGE_ANY_APP, contract.BADGE_FACET_READY << contract.BADGE_FACET_SHIFT)


def every_handle():
    for generation in _GENERATIONS:
        for slot in range(1 << contract.HANDLE_SLOT_BITS):
            yield generation << contract.HANDLE_SLOT_BITS | slot
    for handle in _WILD:
        yield handle


def _soon():
    return kernel.time() + 100


def _move(handle):
    kernel.send_cap(0, handle & 0xFFFF_FFFF)
    kernel.call(caps.INIT, 8, _soon(), 0, 1)


def _move_four(handle):
    for place in range(contract.IPC_MAX_CAPS):
        kernel.send_cap(place, handle & 0xFFFF_FFFF)
    kernel.call(caps.INIT, 8, _soon(), 0, contract.IPC_MAX_CAPS, contract.IPC_MAX_CAPS)


def _grant(handle):
    kernel.grant(0, handle & 0xFFFF_FFFF, 0xFF, 0)
    kernel.reply(handle, 8, 0, 1)


CALLS = (
    lambda handle: kernel.call(handle, 8, _soon()),
    lambda handle: kernel.call(caps.INIT, 8, _soon(), handle),
    lambda handle: kernel.recv(handle, _soon(), contract.IPC_MAX_CAPS),
    lambda handle: kernel.reply(handle, 8),
    lambda handle: kernel.reply(handle, 0, 0, 0, handle, 0, 64),
    lambda handle: kernel.reply_recv(handle, 8, handle, _soon()),
    lambda handle: kernel.notify(handle),
    lambda handle: kernel.wait(handle, _soon()),
    lambda handle: [kernel.mint(handle, badge, contract.RIGHT_CALL | contract.RIGHT_GRANT) for badge in _BADGES],
    lambda handle: kernel.mint(handle, 0, contract.RIGHT_RECV),
    lambda handle: kernel.revoke(handle, 0),
    lambda handle: kernel.info(handle),
    lambda handle: kernel.device_write(handle, contract.VIRTIO_REG_STATUS, 0),
    lambda handle: kernel.queue_setup(handle),
    lambda handle: kernel.queue_post(handle, kernel.segment(0, 64, True)),
    lambda handle: kernel.queue_take(handle),
    lambda handle: kernel.irq_ack(handle),
    lambda handle: kernel.region_map(handle, True),
    lambda handle: kernel.region_map(handle, False),
    lambda handle: kernel.region_unmap(handle),
    lambda handle: kernel.region_seal(handle),
    lambda handle: kernel.region_free(handle),
    lambda handle: [kernel.supervise(handle, operation) for operation in range(7)],
    lambda handle: [kernel.system(handle, operation, 0) for operation in (1, 2, 3, 4, 5, 7, 8)],
    lambda handle: kernel.process(handle, 0),
    lambda handle: [kernel.capability(handle, index, 0) for index in range(40)],
    lambda handle: kernel.spawn(handle, handle, 2, 100, 0),
    lambda handle: kernel.spawn(handle, handle, 2, 100, caps.INIT),
    _move,
    _move_four,
    _grant,
)  # fmt: skip


# 1 if the kernel did it.
def attempt(function, handle):
    try:
        function(handle)
    except (kernel.Error, ValueError, TypeError, OverflowError):
        return 0
    return 1


def main():
    done = 0
    for handle in every_handle():
        for function in CALLS:
            done += attempt(function, handle)
    print("handles done=%08x" % done)
    for handle in every_handle():
        if handle != caps.NOTIFICATION:
            attempt(kernel.drop, handle)
    for handle in every_handle():
        attempt(kernel.info, handle)
    tries.linger()


main()
