# Cases of process runtime about apps whose bundle nobody has checked: what lies in the region is the test's own. Run by main.py.
# Whatever is wrong with it ends the app alone, with a status; leaves no app, an empty region and no notification bits behind.

import struct

import caps
import contract
import kernel

_PAGE = 4096
_ID = b"test.crafted"
_ROMFS = b"\xd2\xcd\x31"  # how each begins; its length follows
_EMPTY = _ROMFS + b"\x00"
# A record that ends before it begins: whoever looks for a file in there goes round for ever.
_ENDLESS = _ROMFS + b"\x20" + b"\x01" + b"\x81" + b"\xff" * 8 + b"\x75" + bytes(21)
_SOON = contract.LIMIT_TICK_HZ // 20


# The app of such contents, started; its supervise handle.
def _started(contents, entry):
    page = bytearray(contract.BUNDLE_HEADER_BYTES)
    page[: len(contract.BUNDLE_MAGIC)] = contract.BUNDLE_MAGIC.encode()
    sizes = (contract.BUNDLE_FORMAT, contract.BUNDLE_HEADER_BYTES, len(contents))
    struct.pack_into("<HHI", page, contract.BUNDLE_AT_FORMAT, *sizes)
    page[contract.BUNDLE_AT_ID : contract.BUNDLE_AT_ID + len(_ID)] = _ID
    page[contract.BUNDLE_AT_ENTRY : contract.BUNDLE_AT_ENTRY + len(entry)] = entry
    struct.pack_into("<HH", page, contract.BUNDLE_AT_HEAP_PAGES, 8, 0)
    memory = kernel.region_map(caps.REGION_0, True)
    _put(memory, 0, page)
    _put(memory, _PAGE, contents)
    kernel.region_seal(caps.REGION_0)
    child = kernel.spawn(caps.SPAWN, caps.REGION_0, 4, contract.LIMIT_APP_SHARE, 0)
    kernel.supervise(child, contract.SUP_RESUME)
    return child


# Assigning to a slice of the whole view would move what lies behind it.
def _put(memory, at, data):
    place = memory[at : at + len(data)]
    place[:] = data


# How it ended: (FAULT_*, value). The region is empty again.
def _end(child):
    told = kernel.supervise(child, contract.SUP_STATUS)
    assert told[0] == contract.STATE_STOPPED
    kernel.supervise(child, contract.SUP_FREE)
    kernel.region_free(caps.REGION_0)
    return told[1:3]


def _ended(contents, entry):
    child = _started(contents, entry)
    assert kernel.wait(caps.NOTIFICATION, kernel.time() + contract.LIMIT_TICK_HZ)
    return _end(child)


# A module that every interpreter has stands in for one of the bundle's own.
def test_app_begins_with_what_its_manifest_says():
    assert _ended(_EMPTY, b"kernel") == (contract.FAULT_EXIT, 0)
    assert _ended(_EMPTY, b"nothing") == (contract.FAULT_EXIT, 1)
    assert _ended(_EMPTY, b"") == (contract.FAULT_EXIT, 1)  # main, which is not there either


def test_app_that_begins_with_no_module_ends():
    for entry in (
        b"Kernel",
        b"_kernel",
        b"7",
        b"kernel.py",
        b"../kernel",
        b"kernel\x00x",
        b"\x00kernel",
        b"k" * 31 + b"/",
    ):
        assert _ended(_EMPTY, entry) == (contract.FAULT_EXIT, 2)


# Its own interpreter reports it, as anything that nobody caught.
def test_contents_that_are_no_romfs_end_the_app():
    for contents in (b"\x00", b"crafted", _ROMFS, _ROMFS + b"\x7f", _ROMFS + b"\xff" * 9 + b"\x7f"):
        assert _ended(contents, b"main") == (contract.FAULT_EXIT, 1)


def test_contents_without_an_end_hold_up_nobody_else():
    child = _started(_ENDLESS, b"main")
    assert _quiet_until(kernel.time() + _SOON)
    kernel.supervise(child, contract.SUP_KILL)
    kernel.wait(caps.NOTIFICATION, kernel.time() + contract.LIMIT_TICK_HZ)
    assert _end(child) == (contract.FAULT_KILLED, 0)


def _quiet_until(deadline):
    try:
        kernel.wait(caps.NOTIFICATION, deadline)
    except kernel.Error as error:
        return error.args[0] == contract.E_DEADLINE
    return False


CASES = (
    test_app_begins_with_what_its_manifest_says,
    test_app_that_begins_with_no_module_ends,
    test_contents_that_are_no_romfs_end_the_app,
    test_contents_without_an_end_hold_up_nobody_else,
)
