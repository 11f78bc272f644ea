# shellcheck shell=bash
# What the parts of scripts/interop.sh need, installed once and then left alone.
#
# Sourced by it, after scripts/install.sh. Whatever cannot be installed is an
# error: a peer that is missing proves nothing.
: "${parts:?}" "${cache:?}" "${SUITE:?}" "${VIRTUALENV:?}" "${PYLSP_PACKAGE:?}"

install_python3() {
  need_programs python3=python3 || return
  # Debian has what venv needs in a package of its own.
  python3 -c 'import ensurepip' 2>/dev/null || need_programs "no python3-venv=python3-venv"
}

install_node_peers() {
  need_programs node=nodejs npm=npm || return
  node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' || {
    echo "interop: node $(node --version) is older than 20" >&2
    return 1
  }
  need_directory "$(cat "$parts/package.json")" "$cache/npm" npm_install || return
  # Node looks for packages from where a module lies.
  cp "$parts"/*.mjs "$cache/npm/"
}

npm_install() {
  cp "$parts/package.json" "$cache/npm/" &&
    npm install --prefix "$cache/npm" --no-audit --no-fund --no-package-lock
}

# The suite is for Python 2.7, which only virtualenv up to 20.21 can serve.
install_autobahn() {
  need_programs cc=gcc || return
  need_directory "$SUITE $VIRTUALENV" "$cache/autobahn" make_autobahn
}

make_autobahn() {
  local python2
  python2=$(find_python2) &&
    python3 -m venv "$cache/autobahn/virtualenv" &&
    "$cache/autobahn/virtualenv/bin/pip" install -q "$VIRTUALENV" &&
    "$cache/autobahn/virtualenv/bin/python" -m virtualenv -q -p "$python2" "$cache/autobahn/suite" &&
    "$cache/autobahn/suite/bin/pip" install -q "$SUITE"
}

find_python2() {
  if command -v pyenv >/dev/null; then
    pyenv install --skip-existing 2.7.18 >&2 && echo "$(pyenv prefix 2.7.18)/bin/python2.7"
  elif ! command -v python2.7; then
    echo "interop: the Autobahn suite needs Python 2.7, or pyenv to build it" >&2
    return 1
  fi
}

install_demo() { need_programs chromium=chromium; }

install_mqtt() { need_programs mosquitto=mosquitto; }

install_novnc() {
  need_programs chromium=chromium Xtigervnc=tigervnc-standalone-server \
    xsetroot=x11-xserver-utils xrandr=x11-xserver-utils xkbcomp=x11-xkb-utils
}

install_lsp() {
  need_directory "$PYLSP_PACKAGE" "$cache/pylsp" make_pylsp
}

make_pylsp() {
  python3 -m venv "$cache/pylsp/venv" &&
    "$cache/pylsp/venv/bin/pip" install -q "$PYLSP_PACKAGE"
}

install_wss() { need_programs chromium=chromium certutil=libnss3-tools openssl=openssl; }

# scripts/deploy.sh installs what it needs itself.
install_deploy() { :; }

install_curl() { need_programs curl=curl openssl=openssl; }

install_openssl() { need_programs openssl=openssl; }

install_nginx() { need_programs nginx=nginx openssl=openssl; }

install_haproxy() { need_programs haproxy=haproxy openssl=openssl; }

install_websockify() { need_programs websockify=websockify; }

install_prometheus() { need_programs prometheus=prometheus promtool=prometheus; }

install_inetd() {
  need_programs systemd-socket-activate=systemd make=make gcc=gcc bzip2=bzip2 || return
  need_superservers "$cache" && need_directory 1 "$cache/busybox" make_busybox
}

# Debian's BusyBox has no inetd, but its source has. It comes from where apt has
# its packages from.
make_busybox() {
  (
    cd "$cache/busybox" && mkdir -p apt/lists/partial apt/parts source && write_sources || exit
    local options=(-o "Dir::Etc::SourceList=$PWD/apt/sources.list"
      -o "Dir::Etc::SourceParts=$PWD/apt/parts" -o "Dir::State::Lists=$PWD/apt/lists")
    apt-get "${options[@]}" -qq update &&
      apt-get "${options[@]}" -qq source --download-only busybox &&
      tar -xf busybox_*.orig.tar.bz2 -C source --strip-components=1 &&
      make -s -C source allnoconfig >/dev/null &&
      sed -i 's/^# CONFIG_\(INETD\|BUSYBOX\) is not set/CONFIG_\1=y/' source/.config &&
      # The answers to what these two options ask.
      make -s -C source oldconfig </dev/null >/dev/null &&
      make -s -C source busybox
  )
}

# apt's own sources of packages, as sources of source.
write_sources() {
  local list parts file
  eval "$(apt-config shell list Dir::Etc::SourceList/f parts Dir::Etc::SourceParts/d)" || return
  for file in "$list" "$parts"*.list "$parts"*.sources; do
    [[ -f $file ]] || continue
    sed -E 's/^deb([[:space:]])/deb-src\1/; s/^Types:.*/Types: deb-src/' "$file" \
      >"apt/parts/${file##*/}" || return
  done
}

install_fuzzing() { install_autobahn; }

install_ssh() {
  need_programs ssh=openssh-client sshd=openssh-server tinyproxy=tinyproxy-bin openssl=openssl || return
  # Where sshd keeps what has no rights, as its service makes it.
  [[ -d /run/sshd ]] || as_root mkdir -p /run/sshd
}

install_databases() {
  need_programs redis-server=redis-server redis-cli=redis-tools psql=postgresql-client || return
  compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null || need_programs "no postgres=postgresql"
}

install_ends() { need_programs lighttpd=lighttpd websockify=websockify; }
