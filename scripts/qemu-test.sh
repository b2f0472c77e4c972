#!/bin/sh
# Boots the selftest system and judges its console: `nexus test-os` under the name that other systems' scripts have.
# RUN_PHASE, RUN_TIMEOUT and RUN_UNTIL_MARKER pass through the environment, options untouched; nothing is decided here.
set -eu
here=$(readlink -f -- "$0")
exec "${here%/*}/nexus" test-os "$@"
