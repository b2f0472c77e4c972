# The console device (virtio 1.2, 5.3) with one port: opened by the book, or says why not; from then on its bytes are the runtime's
# (firmware/runtime/terminal.c). start.py of the shell is its only user. Believes of a message no more than is checked here.

import struct

import contract
import kernel
import terminal
from virtio import Virtio
from virtqueue import DeviceError, Silent, Virtqueue

_DEVICE_ID = 3
_MULTIPORT = 1 << contract.VIRTIO_FEATURE_CONSOLE_MULTIPORT
_MAX_PORTS = contract.VIRTIO_REG_CONFIG + 4  # max_nr_ports of the configuration
_MESSAGE = "<IHH"  # port, event, value
_MESSAGE_BYTES = 8
_ALL_PORTS = 0xFFFFFFFF
_PIECE = contract.TERMINAL_CONTROL_BYTES
_NAME = contract.TERMINAL_NAME.encode()


# The queues that are used of a device; `queues` and `control` answer to what Virtio asks of a single one.
class VirtioConsole:
    # `queues`: handles by number, as the recipe has them.
    def __init__(self, device, queues, irq, notification):
        self.device = device
        self.queues = queues
        self.irq = irq
        self.notification = notification
        self.control = Virtqueue(queues[contract.TERMINAL_QUEUE_CONTROL_RECEIVE], irq, notification)
        self.answer = Virtqueue(queues[contract.TERMINAL_QUEUE_CONTROL_SEND], irq, notification)
        self.virtio = Virtio(device, self, _DEVICE_ID, contract.LINE_TERMINAL_WRONG)
        self.window = None
        self.connected = False  # somebody has the other end

    # From reset to an open port that the runtime has.
    def open(self, until):
        self.virtio.start(_MULTIPORT)
        self.window = kernel.dma(contract.TERMINAL_CONTROL_SEND_AT + _PIECE, "B")
        for piece in range(contract.TERMINAL_CONTROL_BUFFERS):
            self._lend(piece)
        self._handshake(until)
        terminal.open(
            self.queues[contract.TERMINAL_QUEUE_RECEIVE],
            self.queues[contract.TERMINAL_QUEUE_SEND],
            self.queues[contract.TERMINAL_QUEUE_CONTROL_RECEIVE],
            self.irq,
            self.notification,
            self.connected,
        )

    # Asked by Virtio, between FEATURES_OK and DRIVER_OK. The queues of port 0 are never ready: there is no such port.
    def setup(self):
        kernel.device_write(self.device, contract.VIRTIO_REG_DEVICE_FEATURES_SEL, 0)
        offered = kernel.device_read(contract.VIRTIO_REG_DEVICE_FEATURES)
        if not offered & _MULTIPORT or kernel.device_read(_MAX_PORTS) <= contract.TERMINAL_PORT:
            raise DeviceError(contract.LINE_TERMINAL_WRONG)
        self.control.setup()
        self.answer.setup()
        for number in (contract.TERMINAL_QUEUE_RECEIVE, contract.TERMINAL_QUEUE_SEND):
            Virtqueue(self.queues[number], self.irq, self.notification).setup()

    def acknowledge(self):
        self.control.acknowledge()

    # Virtio 1.2, 5.3.6.2: the device adds its ports once it knows that we are ready; of ours it tells the name before it is used.
    def _handshake(self, until):
        self._say(_ALL_PORTS, contract.TERMINAL_EVENT_DEVICE_READY, until)
        self._await(contract.TERMINAL_EVENT_PORT_ADD, until)
        self._say(contract.TERMINAL_PORT, contract.TERMINAL_EVENT_PORT_READY, until)
        if self._await(contract.TERMINAL_EVENT_PORT_NAME, until).rstrip(b"\0") != _NAME:
            raise DeviceError(contract.LINE_TERMINAL_WRONG)
        self._say(contract.TERMINAL_PORT, contract.TERMINAL_EVENT_PORT_OPEN, until)

    # What follows the next message of this event about our port; whatever else is said before is heard on the way. A port that is
    # taken away may be added again, but not in this life.
    def _await(self, awaited, until):
        while kernel.time() < until:
            event, value, rest = self._hear(until)
            if event == contract.TERMINAL_EVENT_PORT_OPEN:
                self.connected = value == 1
            if event == contract.TERMINAL_EVENT_PORT_REMOVE:
                break
            if event == awaited:
                return rest
        raise Silent(contract.LINE_DEVICE_SILENT)

    # Event, value and rest of the next message; event None if it is about another port.
    def _hear(self, until):
        done = self.control.take(until)
        if done is None:
            raise self.virtio.silence()
        piece, used = done
        if used < _MESSAGE_BYTES:
            raise DeviceError(contract.LINE_DEVICE_BROKEN)
        start = contract.TERMINAL_CONTROL_AT + piece * _PIECE
        port, event, value = struct.unpack_from(_MESSAGE, self.window, start)
        rest = bytes(self.window[start + _MESSAGE_BYTES : start + used])
        self._lend(piece)
        return event if port == contract.TERMINAL_PORT else None, value, rest

    # The runtime goes on with these: piece i has to be the device's buffer i.
    def _lend(self, piece):
        segment = kernel.segment(contract.TERMINAL_CONTROL_AT + piece * _PIECE, _PIECE, True)
        if self.control.post(segment) != piece:
            raise DeviceError(contract.LINE_DEVICE_BROKEN)

    def _say(self, port, event, until):
        struct.pack_into(_MESSAGE, self.window, contract.TERMINAL_CONTROL_SEND_AT, port, event, 1)
        self.answer.post(kernel.segment(contract.TERMINAL_CONTROL_SEND_AT, _MESSAGE_BYTES, False))
        if self.answer.take(until) is None:
            raise self.virtio.silence()
