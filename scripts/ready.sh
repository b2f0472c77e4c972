# Tells in a few milliseconds whether this clone is set up. Sourced by scripts/nexus, just and setup.sh, which set $root.
# Must start no Python and change nothing.
# shellcheck shell=sh disable=SC2154
#
# The stamp .venv/ready is written last by setup.sh: first the key, then every path below .venv that has to be there.

stamp_key() {
    # The folder belongs to the key because a virtual environment holds absolute paths: a moved clone has to be made anew.
    # Raise the number when an entry point in pyproject.toml changes.
    { cat "$root/requirements.lock" && echo "entry points 1, in $root"; } | sha256sum
}

is_ready() {
    [ -x "$root/.venv/bin/python" ] && [ -r "$root/.venv/ready" ] || return 1
    {
        IFS= read -r stamped || return 1
        [ "$stamped" = "$(stamp_key)" ] || return 1
        while IFS= read -r part; do
            [ -e "$root/.venv/$part" ] || return 1
        done
    } <"$root/.venv/ready"
}
