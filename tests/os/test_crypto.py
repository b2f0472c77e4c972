"""libsodium in the machine: the native test program runs every published vector, and refuses what must be refused.

Scenario: system test-crypto is booted; its lines say how many cases each table had, which the vector files say too.
"""

from __future__ import annotations

from pathlib import Path

from nexus.image.vectors import load_tables
from nexus.plugin import Boot

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
TABLES = {name: cases for path in sorted(FOLDER.glob("*.json")) for name, cases in load_tables(path).items()}
FLIPPED = TABLES["ed25519_sign"][2]
PREFIX = "crypto: "


def expected_counts() -> list[str]:
    """Both hashes of a row; seal, open, every bit of the box, nonce and extra data; every bit of what was signed."""
    aead = sum(3 + 8 * len(case["boxed"]) + bool(case["extra"]) for case in TABLES["aead"])
    flips = 8 * sum(len(FLIPPED[part]) for part in ("signature", "public_key", "message")) + 1
    counts = {
        "sha2": 2 * len(TABLES["sha2"]),
        "blake2b": len(TABLES["blake2b"]),
        "aead": aead,
        "ed25519-sign": 3 * len(TABLES["ed25519_sign"]),
        "ed25519-flips": flips,
        "ed25519-refuse": len(TABLES["ed25519_refuse"]),
        "misuse": 1,
    }
    return [f"{name} cases={count}" for name, count in counts.items()]


def test_vectors_hold_in_the_machine(boot: Boot) -> None:
    machine = boot("test-crypto")
    end = machine.wait()
    said = [line.removeprefix(PREFIX) for line in machine.log.splitlines() if line.startswith(PREFIX)]
    assert said == expected_counts()
    assert end is not None
    assert end.code == machine.contract.constants["EXIT_OK"]
