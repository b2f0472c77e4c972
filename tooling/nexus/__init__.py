"""Nexus: build, boot and judge a microkernel system for RISC-V. Import the submodules; this file must stay empty of code."""
