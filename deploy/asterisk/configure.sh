#!/bin/sh
# Writes Asterisk's configuration for a server into a folder: configure.sh /etc/asterisk
# What is the same everywhere comes from deploy/engine/conf, what a server needs from conf beside this script.
#   ARI_PASSWORD      24 letters, digits, - and _ or more; the same as of the console's engine
#   ARI_BIND          address that ARI listens at; only MiniVoice may reach it (127.0.0.1)
#   SIP_BIND          address that SIP listens at (0.0.0.0)
#   EXTERNAL_ADDRESS  this server's public address, where it is behind NAT; empty: it is not
#   LOCAL_NETWORKS    networks that are reached without NAT, with blanks between (those of RFC 1918)
#   SIP_CERTIFICATE   folder with fullchain.pem and privkey.pem, for carriers that call us over TLS; empty: none do
set -eu

etc="${1:?which folder?}"
here="$(cd "$(dirname "$0")" && pwd)"
address='^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$'

refuse() {
    echo "not configured: $1" >&2
    exit 1
}

case "${ARI_PASSWORD:-}" in *change-me*) refuse "ARI_PASSWORD is the example's" ;; esac
echo "${ARI_PASSWORD:-}" | grep -Eqx '[A-Za-z0-9_-]{24,}' || refuse "ARI_PASSWORD must be 24 letters, digits, - and _ or more"
for bind in "${ARI_BIND:=127.0.0.1}" "${SIP_BIND:=0.0.0.0}" "${EXTERNAL_ADDRESS:=}"; do
    test -z "$bind" || echo "$bind" | grep -Eq "$address" || refuse "$bind is not an IPv4 address"
done
test "$ARI_BIND" != 0.0.0.0 || refuse "ARI_BIND must be one address, that strangers cannot reach"

nat=""
if [ -n "$EXTERNAL_ADDRESS" ]; then
    nat="external_signaling_address = $EXTERNAL_ADDRESS\nexternal_media_address = $EXTERNAL_ADDRESS"
    for network in ${LOCAL_NETWORKS:-10.0.0.0/8 172.16.0.0/12 192.168.0.0/16}; do
        echo "$network" | grep -Eqx '[0-9.]+/[0-9]+' || refuse "$network is not a network such as 10.0.0.0/8"
        nat="$nat\nlocal_net = $network"
    done
fi
certificate=""
if [ -n "${SIP_CERTIFICATE:-}" ]; then
    test -r "$SIP_CERTIFICATE/fullchain.pem" && test -r "$SIP_CERTIFICATE/privkey.pem" ||
        refuse "SIP_CERTIFICATE needs a readable fullchain.pem and privkey.pem"
    certificate="cert_file = $SIP_CERTIFICATE/fullchain.pem\npriv_key_file = $SIP_CERTIFICATE/privkey.pem"
fi

umask 077
mkdir -p "$etc/moh"
etc="$(cd "$etc" && pwd)"
cp "$here"/../engine/conf/*.conf "$etc"
cp "$here"/../engine/moh/* "$etc/moh"
for file in "$here"/conf/*.conf; do
    sed -e "s|@ARI_PASSWORD@|$ARI_PASSWORD|" -e "s|@ARI_BIND@|$ARI_BIND|" -e "s|@SIP_BIND@|$SIP_BIND|" \
        -e "s|@NAT@|$nat|" -e "s|@CERTIFICATE@|$certificate|" -e "s|@MUSIC@|$etc/moh|" "$file" >"$etc/$(basename "$file")"
done
