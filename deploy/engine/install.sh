#!/bin/sh
# `make engine`: Asterisk and SIPp for this machine, in a folder of their own; nothing else on the machine changes.
# Run once as root; ordinary users can run what is there. MINIVOICE_ENGINE names another folder.
set -eu

engine="${MINIVOICE_ENGINE:-/var/cache/minivoice/engine}"
half_made="$engine.new"

versions() { (cd "$(dirname "$0")/../.." && .venv/bin/python -m minivoice.local.engine); }

if versions; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "No Asterisk 20 or newer and SIPp on this machine: run 'make engine' once as root, or install them." >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "make engine knows Debian and its kin only: install Asterisk 20 or newer and SIPp yourself." >&2
    exit 1
fi
if ! command -v debootstrap >/dev/null; then
    echo "Installing debootstrap ..." >&2
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
fi
# The machine's own mirror. One that names none (another distribution's) leaves debootstrap its default.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | grep -m 1 '/debian/$' || true)

if grep -q " $half_made" /proc/mounts; then
    echo "An earlier run was killed and left $half_made mounted: unmount what is in it first." >&2
    exit 1
fi
rm -rf "$half_made"
mkdir -p "$(dirname "$engine")"
echo "Fetching Asterisk and SIPp into $engine (once; two minutes, 550 MB) ..." >&2
if ! debootstrap --variant=minbase --include=asterisk,asterisk-core-sounds-en-gsm,sip-tester \
    sid "$half_made" $mirror >"$engine.log" 2>&1; then
    tail -n 15 "$engine.log" >&2
    echo "Debian sid's asterisk cannot be had here; see $engine.log." >&2
    exit 1
fi
rm -rf "$half_made/var/cache/apt/archives" "$half_made/var/lib/apt/lists"
# Debian's links lead through /etc/alternatives, which here is the machine's own.
ln -sfn en_US_f_Allison "$half_made/usr/share/asterisk/sounds/en"
chmod 755 "$(dirname "$engine")" "$half_made"
mv "$half_made" "$engine"
versions
