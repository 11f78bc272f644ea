# shellcheck shell=bash
# How scripts install what they need, once.
#
# Sourced by them. Each function is safe to call again; a directory that was
# completed carries a stamp, one that was not is made anew.

# Runs a command up to three times, with a pause before each next try.
retry() {
  local try
  for try in 1 2 3; do
    "$@" && return
    if ((try < 3)); then
      echo "install: try $try failed: $*" >&2
      sleep $((try * 10))
    fi
  done
  echo "install: gave up: $*" >&2
  return 1
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# need_programs PROGRAM=PACKAGE...: Debian packages for programs that are missing.
need_programs() {
  local pair missing=()
  for pair in "$@"; do
    PATH=$PATH:/usr/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  ((${#missing[@]} == 0)) && return
  retry as_root apt-get -qq update &&
    retry as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -qq install -y --no-install-recommends "${missing[@]}"
}

# need_directory STAMP DIRECTORY COMMAND...: runs the command, which fills the
# directory, unless it did so for the same stamp before.
need_directory() {
  local stamp=$1 directory=$2
  shift 2
  [[ -f $directory/.complete && $(<"$directory/.complete") == "$stamp" ]] && return
  retry fresh "$directory" "$@" && printf '%s\n' "$stamp" >"$directory/.complete"
}

fresh() {
  local directory=$1
  shift
  rm -rf "$directory" && mkdir -p "$directory" && "$@"
}

# need_superservers CACHE: openbsd-inetd and xinetd, of which Debian lets only one
# be installed, in a folder SUPERSERVERS, and what they need in
# SUPERSERVER_LIBRARIES.
need_superservers() {
  export SUPERSERVERS=$1/superservers SUPERSERVER_LIBRARIES
  need_directory 1 "$SUPERSERVERS" unpack_superservers || return
  SUPERSERVER_LIBRARIES=$(find "$SUPERSERVERS" -name 'lib*.so.*' -printf '%h\n' | sort -u | paste -sd:)
}

unpack_superservers() {
  (
    cd "$SUPERSERVERS" && as_root apt-get -qq update &&
      apt-get -qq download openbsd-inetd xinetd libwrap0 libtirpc3 || exit
    for package in *.deb; do dpkg -x "$package" . || exit; done
  )
}
