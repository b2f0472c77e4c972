"""Runs QEMU: argv, control protocol, console, session. The only folder of the host tool that starts an emulator."""
