# The kernel proof's attacker in Python: asks the judge for an order, misuses the kernel module, the views it hands out or the
# interpreter itself, and ends with the status that came of it. The C side (firmware/test/proof/python.c) measures the effect.
# The twin of each attack does the same as it should be done, and then tells the judge, who counts.

import struct

import caps
import contract
import kernel

ASK = "<IIQQ"  # struct message of firmware/test/proof/proof.h
TOLD = "<IIIIQ24s"  # struct told
OP_ASK, OP_DONE, OP_PROBE = 1, 2, 3
ROLE_ATTACK = 1
SECONDS = 20
BADGE = 0x7700

# What an exception means, in the kernel's words.
MEANING = (
    (MemoryError, contract.E_FULL),
    (RuntimeError, contract.E_STATE),
    (TypeError, contract.E_BAD_TYPE),
    (ImportError, contract.E_BAD_HANDLE),
    (NameError, contract.E_BAD_HANDLE),
    (AttributeError, contract.E_BAD_HANDLE),
    (IndexError, contract.E_BAD_ARGUMENT),
    (ValueError, contract.E_BAD_ARGUMENT),
    (OverflowError, contract.E_BAD_ARGUMENT),
)
KINDS = tuple([kind for kind, _ in MEANING])


def soon():
    return kernel.time() + SECONDS * contract.LIMIT_TICK_HZ


def tell(op, value=0, sent=0, accept=0):
    struct.pack_into(ASK, kernel.buffer, 0, op, 0, value, 0)
    return kernel.call(caps.JUDGE, struct.calcsize(ASK), soon(), 0, sent, accept)


def probe():
    tell(OP_PROBE)


# --- handles, lengths and numbers that the kernel module packs into registers ---


def call_with(handle=caps.JUDGE, length=24, deadline=None, sent=0):
    struct.pack_into(ASK, kernel.buffer, 0, OP_PROBE, 0, 0, 0)
    kernel.call(handle, length, soon() if deadline is None else deadline, 0, sent)


def handle(order):
    call_with(handle=caps.JUDGE if order.right else contract.HANDLE_BOOT + contract.LIMIT_CAP_SLOTS - 1)


def handle_negative(order):
    call_with(handle=caps.JUDGE if order.right else -1)


def handle_huge(order):
    call_with(handle=caps.JUDGE if order.right else 1 << 64)


def handle_text(order):
    call_with(handle=caps.JUDGE if order.right else "judge")


def length(order):
    call_with(length=24 if order.right else contract.IPC_DATA_BYTES + 1)


def length_negative(order):
    call_with(length=24 if order.right else -1)


# A length that would spill into the count of capabilities.
def length_spills(order):
    call_with(length=24 if order.right else 1 << 16 | 24)


def caps_five(order):
    call_with(sent=0 if order.right else contract.IPC_MAX_CAPS + 1)


def deadline_past(order):
    call_with(deadline=None if order.right else 0)


def mint_recv(order):
    kernel.mint(caps.ENDPOINT, BADGE, contract.RIGHT_CALL if order.right else contract.RIGHT_CALL | contract.RIGHT_RECV)


# --- the message buffer and what lies behind it ---


def buffer_index(order):
    kernel.buffer[contract.IPC_DATA_BYTES - order.right] = 1
    probe()


def buffer_slice(order):
    kernel.buffer[contract.IPC_DATA_BYTES - 8 :] = bytes(8 if order.right else 16)
    probe()


def cap_index(order):
    kernel.send_cap(0 if order.right else contract.IPC_MAX_CAPS, caps.JUDGE)
    probe()


def cap_negative(order):
    kernel.send_cap(0 if order.right else -1, caps.JUDGE)
    probe()


def grant_index(order):
    kernel.grant(0 if order.right else contract.IPC_MAX_CAPS, caps.ENDPOINT, contract.RIGHT_CALL, BADGE)
    probe()


# --- views of a region ---


def write_token(view, order):
    struct.pack_into("<Q", view, 0, order.token)


def view_readonly(order):
    write_token(kernel.region_map(order.gift, order.right), order)


def view_beyond(order):
    view = kernel.region_map(order.gift, True)
    view[len(view) - order.right] = 0
    write_token(view, order)


def view_unmapped(order):
    view = kernel.region_map(order.gift, True)
    if not order.right:
        kernel.region_unmap(order.gift)
    write_token(view, order)


def view_sealed(order):
    view = kernel.region_map(order.gift, True)
    if not order.right:
        kernel.region_seal(order.gift)
    write_token(view, order)


# --- devices that it has not ---


def device_read(order):
    if not order.right:
        kernel.device_read(contract.VIRTIO_REG_MAGIC)
    probe()


def device_beyond(order):
    if not order.right:
        kernel.device_read(0x1000)
    probe()


# --- the console ---


def console_long(order):
    text = "%016x" % order.token
    kernel.console(text if order.right else text * (contract.LIMIT_WRITE_BYTES // 16 + 1))


def console_forged(order):
    text = "%016x" % order.token
    kernel.console(text if order.right else text + "\nkernel: panic forged")


# --- the interpreter ---


def memory_at_once(order):
    bytearray(1 << (10 if order.right else 26))
    probe()


def memory_slowly(order):
    held = []
    while not order.right:
        held.append(bytearray(1024))
    probe()


def recursion(order):
    def deeper(levels):
        return deeper(levels - 1) + 1 if levels else 0

    deeper(5 if order.right else 1 << 20)
    probe()


def module_uctypes(order):
    if not order.right:
        __import__("uctypes")
    probe()


def module_machine(order):
    if not order.right:
        __import__("machine")
    probe()


def builtin_eval(order):
    if not order.right:
        eval("1")  # noqa: S307  must be missing
    probe()


def builtin_exec(order):
    if not order.right:
        exec("1")  # noqa: S102  as above
    probe()


def builtin_compile(order):
    if not order.right:
        compile("1", "", "eval")
    probe()


def spin(order):
    end = kernel.cpu_time() + contract.LIMIT_TICK_HZ // 50
    while not order.right or kernel.cpu_time() < end:
        pass


ATTACKS = (
    handle, handle_negative, handle_huge, handle_text, length, length_negative, length_spills, caps_five, deadline_past, mint_recv,
    buffer_index, buffer_slice, cap_index, cap_negative, grant_index, view_readonly, view_beyond, view_unmapped, view_sealed,
    device_read, device_beyond, console_long, console_forged, memory_at_once, memory_slowly, recursion, module_uctypes,
    module_machine, builtin_eval, builtin_exec, builtin_compile, spin,
)  # fmt: skip


class Order:
    def __init__(self):
        tell(OP_ASK, 0, 0, contract.IPC_MAX_CAPS)
        self.role, _, self.right, _, self.token, name = struct.unpack_from(TOLD, kernel.buffer, 0)
        self.name = str(bytes(name).rstrip(b"\0"), "ascii")
        self.gift = kernel.caps(0)


def meaning_of(error):
    for kind, meaning in MEANING:
        if isinstance(error, kind):
            return meaning
    return contract.E_AGAIN


def attempt(order):
    attack = {attack.__name__: attack for attack in ATTACKS}[order.name]
    try:
        attack(order)
    except kernel.Error as error:
        return error.args[0]
    except KINDS as error:
        return meaning_of(error)
    return contract.E_OK


def main():
    order = Order()
    if order.role != ROLE_ATTACK:
        kernel.wait(caps.NOTIFICATION)
    status = attempt(order)
    tell(OP_DONE, status)
    kernel.exit(status)


main()
