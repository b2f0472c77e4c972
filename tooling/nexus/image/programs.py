"""The ELFs of a system: the interpreters that its services share, and its native programs.

Called by build.py. How they are compiled is runtime.py's business; here it is decided whether they have to be, since
asking make and verifying third-party sources costs longer than everything else when nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus.contract.emit import write_if_changed
from nexus.contract.load import Contract
from nexus.image import manifest, mpy, runtime, sources, toolchain
from nexus.image.program import Program, read_program
from nexus.recipe.model import System

Progress = Callable[[str], None]
SHARED = ("firmware/include", "firmware/native")


@dataclass(frozen=True)
class Built:
    programs: tuple[Program, ...]
    paths: tuple[Path, ...]
    mpy_version: mpy.MpyVersion | None  # of the interpreters; None if there is none
