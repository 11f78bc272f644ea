# What adit.init finds on OpenWrt, as far as it uses it: the functions of UCI,
# which runs a configuration as commands, and procd's, which print here what
# would be started.
#
#   busybox ash openwrt.sh CONFIG INIT

config_file=$1
CONFIG_SECTIONS=

append() { eval "$1=\"\${$1:+\$$1 }\$2\""; }
list_contains() { eval "case \" \$$1 \" in *\" \$2 \"*) ;; *) false ;; esac"; }
config_get() { eval "$1=\${CONFIG_$2_$3:-\$4}"; }

config_get_bool() {
	config_get "$@"
	eval "case \$$1 in 1 | on | true | yes | enabled) $1=1 ;; *) $1=0 ;; esac"
}

config() {
	CONFIG_SECTION=$2
	append CONFIG_SECTIONS "$2"
	eval "CONFIG_$2_TYPE=\$1"
}

option() {
	eval "CONFIG_${CONFIG_SECTION}_$1=\$2"
	option_cb "$1" "$2"
}

list() {
	local length
	config_get length "$CONFIG_SECTION" "$1_LENGTH" 0
	length=$((length + 1))
	eval "CONFIG_${CONFIG_SECTION}_$1_ITEM$length=\$2"
	eval "CONFIG_${CONFIG_SECTION}_$1_LENGTH=$length"
	list_cb "$1" "$2"
}

config_load() {
	[ "$1" = adit ] || exit 1
	. "$config_file"
}

config_foreach() {
	local section type
	for section in $CONFIG_SECTIONS; do
		config_get type "$section" TYPE
		[ "$type" != "$2" ] || "$1" "$section"
	done
}

config_list_foreach() {
	local section=$1 name=$2 function=$3 item=1 length value
	shift 3
	config_get length "$section" "${name}_LENGTH" 0
	while [ $item -le "$length" ]; do
		config_get value "$section" "${name}_ITEM$item"
		"$function" "$value" "$@"
		item=$((item + 1))
	done
}

procd_open_instance() { echo "instance $1"; }
procd_set_param() { printf '%s\n' "$@"; }
procd_append_param() { shift && printf '%s\n' "$@"; }
procd_close_instance() { echo end; }

. "$2"
start_service
