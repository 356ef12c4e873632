#!/bin/sh
# `make browser`: Debian's Chromium, in which the console's pages are walked through and looked at. Run once as root.
set -eu

version() { for name in chromium chromium-browser google-chrome; do "$name" --version 2>/dev/null && return; done; }

if version; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "No Chromium on this machine: run 'make browser' once as root on Debian and its kin, or install it." >&2
    exit 1
fi
echo "Installing Chromium (once; a minute, 400 MB) ..." >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
version
