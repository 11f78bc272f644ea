#!/usr/bin/env bash
# Makes a private authority and a certificate of it, for a try. Not for use on
# the Internet: whoever has ca.key can pass for anybody to those who trust ca.pem.
#
#   scripts/certs.sh DIR [NAME...]
#
#   NAME   host names and addresses (localhost 127.0.0.1 ::1)
#
# DIR gets ca.pem and ca.key, kept if they are there already, and cert.pem and
# key.pem. Needs openssl.

set -euo pipefail

if (($# == 0)) || [[ $1 == -* ]]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
dir=$1
shift
(($# > 0)) || set -- localhost 127.0.0.1 ::1
names=
for name in "$@"; do
  if [[ $name == *:* || $name =~ ^[0-9.]+$ ]]; then kind=IP; else kind=DNS; fi
  names+=${names:+,}$kind:$name
done

umask 077
mkdir -p "$dir"
new_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
if [[ ! -f $dir/ca.pem ]]; then
  openssl req -x509 "${new_key[@]}" -keyout "$dir/ca.key" -out "$dir/ca.pem" -days 3650 \
    -subj "/CN=adit try-out authority" 2>/dev/null
fi
openssl req "${new_key[@]}" -keyout "$dir/key.pem" -subj "/CN=$1" 2>/dev/null |
  openssl x509 -req -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 90 \
    -extfile <(printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' "$names") \
    -out "$dir/cert.pem" 2>/dev/null

cat <<END
$dir/cert.pem for $*, valid for 90 days.

  adit serve 443 HOST:PORT --tls-cert $dir/cert.pem --tls-key $dir/key.pem

Clients that shall believe it have to trust $dir/ca.pem: curl with --cacert,
a browser by importing it.
END
