#!/bin/sh
# Sets this clone up: the system packages that are missing, then .venv with the hash-locked Python packages. Run by
# scripts/nexus and scripts/just when .venv/ready is absent or out of date; safe to interrupt and to run again.
# `setup.sh --packages` stops after the system packages: for whoever prepares a computer, as root, for others.
# Must work on a machine without any Python, ask nothing, speak on stderr only, and call apt only for what is missing.
# Exit status: 0 ready, 3 something is missing (the last lines say what to do), 130 interrupted.
set -eu
root=$(readlink -f -- "$0")
root=${root%/scripts/*}
. "$root/scripts/ready.sh"

say() { printf 'set-up: %s\n' "$*" >&2; }
die() {
    say "$@"
    exit 3
}
trap 'say "interrupted; run the same command again to go on"; exit 130' INT TERM HUP

# ---- what is missing -------------------------------------------------------------------------------------------------

have() { command -v "$1" >/dev/null 2>&1; }

# Prints the real path of the first Python on PATH that can make and run our environment. A self-built one often lacks lzma
# or ssl, Debian's lacks ensurepip until python3-venv is there.
find_python() (
    IFS=:
    for folder in $PATH; do
        for name in python3 python3.14 python3.13 python3.12 python3.11; do
            [ -x "$folder/$name" ] || continue
            "$folder/$name" - <<'EOF' 2>/dev/null && return 0
import sys
if sys.version_info < (3, 11):
    raise SystemExit(1)
import ctypes, ensurepip, lzma, os, ssl, venv, zlib
print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
EOF
        done
    done
    return 1
)

qemu_package() {
    # Debian 13 moved the RISC-V machine out of qemu-system-misc.
    if apt-cache show qemu-system-riscv >/dev/null 2>&1; then echo qemu-system-riscv; return; fi
    case "$os_name" in
        'debian 12' | 'ubuntu 2'[24].04) echo qemu-system-misc ;;
        *) echo qemu-system-riscv ;;
    esac
}

# One line per missing thing: Debian package, then what it is for.
missing() {
    find_python >/dev/null || printf '%s\n' 'python3|the host tool is written in it' 'python3-venv|keeps its packages inside this clone'
    have make || echo 'make|builds the kernel and the runtime'
    have riscv64-unknown-elf-gcc || echo 'gcc-riscv64-unknown-elf|compiles C for RISC-V'
    if ! have riscv64-unknown-elf-gcc || [ "$(riscv64-unknown-elf-gcc -print-file-name=picolibc.specs)" = picolibc.specs ]; then
        echo 'picolibc-riscv64-unknown-elf|the C library of what runs in the machine'
    fi
    have qemu-system-riscv64 || echo "$(qemu_package)|the machine that runs the system"
    have cc || printf '%s\n' 'gcc|only for tests: the kernel unit tests run on this computer' 'libc6-dev|only for tests: headers for the same'
    have tmux || echo 'tmux|only for tests: shows what a terminal shows'
    have git || echo 'git|only for tests: plants known bugs and looks whether a test sees them'
    [ -s "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ] || echo 'ca-certificates|downloads are made over TLS'
}

# ---- system packages -------------------------------------------------------------------------------------------------

# Sets $as_root to what runs a command as root, or says the one line to paste and gives up.
gain_root() {
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif have sudo && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    elif have sudo && [ -t 0 ] && [ -t 2 ]; then
        as_root=sudo
        say 'sudo may ask for your password now, for apt-get and nothing else'
    else
        say 'installing them takes root, which cannot be had here. Run this line, then the same command again:'
        line="apt-get update && apt-get install -y --no-install-recommends $packages"
        if have sudo; then line="sudo sh -c '$line'"; else line="su -c '$line'"; fi
        printf '    %s\n' "$line" >&2
        exit 3
    fi
}

apt() { $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null; }

# On a terminal apt shows its own progress; in a log only its last words count, and only if it fails.
apt_install() {
    if [ -t 2 ]; then apt install -y --no-install-recommends "$@" >&2; return; fi
    apt install -y --no-install-recommends "$@" >"$notes/.venv.log" 2>&1 && return
    tail -n 20 "$notes/.venv.log" >&2
    return 1
}

# Unlike an installation, an update does not wait for another apt by itself.
apt_update() {
    say 'refreshing the package lists'
    tries=30
    until apt update >"$notes/.venv.log" 2>&1; do
        if [ "$tries" = 0 ] || ! grep -q 'Could not get lock' "$notes/.venv.log"; then
            tail -n 20 "$notes/.venv.log" >&2
            return 1
        fi
        [ "$tries" != 30 ] || say 'another program is using apt; waiting for it, five minutes at most'
        tries=$((tries - 1))
        sleep 10
    done
}

# What apt itself expects, if it has package lists already; else what was measured on an empty Debian 12.
# shellcheck disable=SC2086  # package names hold no spaces; the list is meant to be split
sizes() {
    said=$(LC_ALL=C apt-get install --assume-no --no-install-recommends -o Debug::NoLocking=true $packages 2>/dev/null) &&
        echo 'nothing more to download' && return
    printf '%s\n' "$said" |
        sed -n 's/^Need to get \([^,]*\) of archives.*/\1 to download/p; s/^After this operation, \(.*\) of additional.*/\1 on disk/p' |
        paste -sd, | sed 's/,/, /' | grep . || echo "$1"
}

# shellcheck disable=SC2086  # package names hold no spaces; the list is meant to be split
install_packages() {
    printf '%s\n' "$list" >"$notes/.venv.apt" # removed once done: dpkg may hold half of it if this is cut off
    if apt-get install --simulate --no-install-recommends $packages >/dev/null 2>&1 &&
        apt_install $packages; then
        :
    else
        # No package lists yet, stale ones, or an installation that was cut off half way: put that right, then once more.
        $as_root dpkg --configure -a </dev/null >&2 || die 'dpkg cannot finish an interrupted installation; see its words above'
        apt_update || die 'apt-get update failed; see its words above (network or proxy?)'
        apt_install $packages || die "apt-get could not install: $packages"
    fi
    rm -f "$notes/.venv.apt" "$notes/.venv.log"
}

need_system_packages() {
    list=$(missing)
    if [ -z "$list" ] && [ ! -e "$notes/.venv.apt" ]; then return; fi
    # What was begun and not finished is asked for again as a whole.
    if [ -e "$notes/.venv.apt" ]; then list=$(cat "$notes/.venv.apt" && echo "$list"); fi
    packages=$(printf '%s\n' "$list" | cut -d'|' -f1 | sort -u | tr '\n' ' ')
    packages=${packages% }
    say 'these packages are missing:'
    printf '%s\n' "$list" | sed 's/^\([^|]*\)|\(.*\)$/    \1  (\2)/' >&2
    if ! have apt-get; then
        say 'this set-up installs packages on Debian and Ubuntu only. The names above are those of Debian 12; install what'
        die "gives the same commands here: python3 >= 3.11 with venv, make, riscv64-unknown-elf-gcc with picolibc, qemu-system-riscv64, cc"
    fi
    say "with what they need: $(sizes 'about 280 MB to download, 1.8 GB on disk'); what is there already is not touched"
    gain_root
    say 'installing them by apt-get (a minute or so)'
    install_packages
    list=$(missing)
    [ -z "$list" ] || die "still missing after the installation: $(printf '%s\n' "$list" | cut -d'|' -f1 | tr '\n' ' ')"
}

# ---- Python packages -------------------------------------------------------------------------------------------------

pip() {
    # The user's own pip settings (index, proxy, certificates) hold; only those that would send packages elsewhere do not.
    env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT -u PIP_REQUIREMENT PIP_USER=0 \
        "$root/.venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" >"$root/.venv/pip.log" 2>&1 && return
    tail -n 15 "$root/.venv/pip.log" >&2
    die "pip failed; its last words are above, all of them in .venv/pip.log"
}

make_venv() {
    say 'installing the Python packages into .venv (about 80 MB to download, 280 MB on disk)'
    rm -rf "$root/.venv" || die "cannot remove the old $root/.venv; who owns it?"
    python=$(find_python)
    "$python" -m venv "$root/.venv" >&2 || die "could not make a virtual environment in $root/.venv"
    pip install --require-hashes --only-binary :all: -r "$root/requirements.lock"
    pip install --no-index --no-deps --no-build-isolation --editable "$root"
    stamp_venv
}

stamp_venv() {
    {
        stamp_key
        cd "$root/.venv" && for part in bin/* lib/python3*/site-packages/*; do
            case "$part" in */__pycache__) ;; *) echo "$part" ;; esac
        done
    } >"$root/.venv/ready.new"
    mv "$root/.venv/ready.new" "$root/.venv/ready"
}

# ---- in order --------------------------------------------------------------------------------------------------------

for tool in flock sha256sum; do
    have "$tool" || die "the command $tool is needed (package util-linux or coreutils); this set-up is made for Linux"
done
os_name=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}") || os_name=unknown
begun=$(date +%s)
unset PYTHONHOME PYTHONPATH
notes=$root # where to leave the log of apt and the note that it was begun
case "${1:-}" in
    --packages)
        notes=$(mktemp -d) # this clone may be somebody else's
        need_system_packages
        rm -rf "$notes"
        exit ;;
    ?*) die "unknown argument $1; the only one is --packages" ;;
esac
exec 9<"$root"
flock -n 9 || { say 'another set-up of this clone is running; waiting for it' && flock 9; }
if is_ready; then exit 0; fi
need_system_packages 9>&-
make_venv 9>&-
say "ready after $(($(date +%s) - begun)) s"
