"""Stands in for QEMU in test_session.py: connects what the command line names, speaks enough QMP, then does what MODE says.

Called as `fake_qemu.py MODE ARGUMENT <QEMU's own words>`. Never runs a guest.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}}


class Pipes:
    """QEMU's ends of the console."""

    def __init__(self, path: str) -> None:
        self.out = os.open(path + ".out", os.O_RDWR)
        self.into = os.open(path + ".in", os.O_RDWR)

    def sendall(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.out, data) :]

    def recv(self, most: int) -> bytes:
        return os.read(self.into, most)


def path_of(words: list[str], start: str) -> str:
    spec = next(word for word in words if word.startswith(f"{start},path="))
    return spec.split("path=", 1)[1].replace(",,", ",")


def connected(words: list[str], name: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX)
    channel.connect(path_of(words, f"socket,id={name}"))
    return channel


def echo(channel: socket.socket) -> None:
    channel.sendall(b"terminal is up\n")
    while data := channel.recv(4096):
        channel.sendall(data)


def say(channel: socket.socket, message: object) -> None:
    channel.sendall(json.dumps(message).encode() + b"\r\n")


def serve_until(channel: socket.socket, command: str) -> None:
    """Answer every command with nothing, up to and including that one. Commands come as JSON without line ends."""
    buffer = ""
    while data := channel.recv(4096):
        buffer += data.decode()
        while buffer.lstrip():
            try:
                request, length = json.JSONDecoder().raw_decode(buffer.lstrip())
            except json.JSONDecodeError:
                break
            buffer = buffer.lstrip()[length:]
            bad = request["execute"] == "bad"
            answer = {"error": {"class": "GenericError", "desc": "no"}} if bad else {"return": {}}
            say(channel, answer | ({"id": request["id"]} if "id" in request else {}))
            if request["execute"] == command:
                return


def end(words: str, code: int) -> None:
    sys.stderr.write(words)
    sys.stderr.flush()
    os._exit(code)


def guest(mode: str, argument: str, uart: Pipes, qmp: socket.socket) -> None:
    """What happens once the machine runs."""
    if mode == "print":
        code, _, file = argument.partition(":")
        uart.sendall(Path(file).read_bytes())
        end("", int(code))
    if mode == "event":
        say(
            qmp,
            {
                "event": "SHUTDOWN",
                "data": {"guest": False, "reason": argument},
                "timestamp": {"seconds": 0, "microseconds": 0},
            },
        )
        time.sleep(0.2)
        end("", 0)
    if mode == "flood":
        while True:
            uart.sendall(argument.encode().decode("unicode_escape").encode("latin-1") * 1000)
    if mode == "echo":
        while data := uart.recv(4096):
            uart.sendall(data)
    serve_until(qmp, "quit" if mode == "serve" else "never")
    while True:
        time.sleep(60)


def main() -> None:
    mode, argument, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "die":
        end(f"{argument}\n", 1)
    if mode == "hang":
        time.sleep(600)
    uart = Pipes(path_of(words, "pipe,id=uart"))
    if mode == "die-after-console":
        end(f"{argument}\n", 3)
    terminal = connected(words, "terminal") if mode == "terminal" else None
    qmp = connected(words, "qmp")
    if mode == "die-in-control":
        end(f"{argument}\n", 4)
    if mode == "silent-control":
        time.sleep(600)
    say(qmp, GREETING)
    serve_until(qmp, "cont")
    if terminal:
        echo(terminal)
    guest(mode, argument, uart, qmp)


if __name__ == "__main__":
    main()
