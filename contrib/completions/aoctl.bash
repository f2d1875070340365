# SPDX-License-Identifier: MIT
# Completion of aoctl for bash. Install as /usr/share/bash-completion/completions/aoctl.
# Commands and options come from aoctl itself, names of sessions and blueprints from the aod that the command line means.

# What the aod that is meant answers to a command.
_aoctl_ask()
{
	local i prev=''
	local -a server=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		prev=${COMP_WORDS[i - 1]}
		case $prev in
		--root | --socket | --url) server=("$prev" "${COMP_WORDS[i]}") ;;
		=) ((i > 1)) && case ${COMP_WORDS[i - 2]} in
			--root | --socket | --url) server=("${COMP_WORDS[i - 2]}" "${COMP_WORDS[i]}") ;;
			esac ;;
		esac
	done
	# As typed: a ~ or a variable in it was not expanded yet.
	((${#server[@]})) && server[1]=${server[1]/#\~/$HOME}
	aoctl "${server[@]}" "$@" --json 2>/dev/null
}

_aoctl_sessions()
{
	_aoctl_ask list -n 200 | grep -o '"session_name":"[A-Za-z0-9_-]*"' | cut -d'"' -f4
}

_aoctl_blueprints()
{
	_aoctl_ask blueprints | grep -o '"name":"[A-Za-z0-9_.@-]*"' | cut -d'"' -f4
}

_aoctl_tokens()
{
	_aoctl_ask token list | grep -o '"name": *"[^"]*"' | cut -d'"' -f4
}

# The ids of documents, of a command that takes one.
_aoctl_documents()
{
	doc-query --limit 200 2>/dev/null | grep -o '"id": "doc_[0-9a-f]*"' | cut -d'"' -f4
}

# A command of old: $1 is its name, as a program or behind `aoctl doc`; its words begin behind COMP_WORDS[$2].
_aoctl_old_words()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=''
	[ "$prev" = = ] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	[ "$cur" = = ] && cur=
	case $prev in
	--project-dir | --sessions-dir | --root)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		compopt -o filenames 2>/dev/null
		return ;;
	--output | -o | --socket | --cacert)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2>/dev/null
		return ;;
	--agent) words=$(_aoctl_blueprints) ;;
	--type | -t) words='parent-child related' ;;
	--create) words=$(_aoctl_documents) ;;
	--prompt | -p | --name | --tags | --description | --limit | -l | --offset | --length | --content | --*-string | --*note | -n | --update | --remove | --url | --token)
		return ;;
	*) case $cur,$1 in
		-*) words=$(aoctl __complete old "$1" 2>/dev/null) ;;
		*,doc-push)
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			compopt -o filenames 2>/dev/null
			return ;;
		*,ao-resume | *,ao-status | *,ao-get-result | *,ao-show-config) words=$(_aoctl_sessions) ;;
		*,doc-pull | *,doc-read | *,doc-info | *,doc-delete | *,doc-write | *,doc-edit | *,doc-link) words=$(_aoctl_documents) ;;
		esac ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

_aoctl_old()
{
	COMPREPLY=()
	_aoctl_old_words "${COMP_WORDS[0]##*/}"
}

_aoctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' first='' blueprint='' words i
	COMPREPLY=()
	# The first word that is neither an option nor the argument of one that stands before the command.
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) return ;;
		--root | --socket | --url) [ "${COMP_WORDS[i + 1]}" = = ] && ((i++)); ((i++)) ;;
		-b | --blueprint) blueprint=yes ;;
		-*) ;;
		*)
			if [ "$command" = doc ]; then
				_aoctl_old_words "doc-${COMP_WORDS[i]}"
				return
			fi
			if [ -z "$command" ]; then command=${COMP_WORDS[i]}; elif [ -z "$first" ]; then first=${COMP_WORDS[i]}; fi ;;
		esac
	done
	if [ "$prev" = = ]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	elif [ "$cur" = = ]; then
		prev=${COMP_WORDS[COMP_CWORD - 1]} cur=
	fi
	case $prev in
	--cacert)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2>/dev/null
		return ;;
	--root | --project-dir | -C)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		compopt -o filenames 2>/dev/null
		return ;;
	--socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2>/dev/null
		return ;;
	--role) words='operator reader session' ;;
	--session) words=$(_aoctl_sessions) ;;
	--state) words='pending running frozen stopping finished failed stopped' ;;
	--output | -o) words='short cat json raw' ;;
	--agent | -a) words=$(_aoctl_blueprints) ;;
	--property | -p)
		[ -n "$blueprint" ] || return
		words=$(aoctl __complete keys 2>/dev/null) ;;
	--token | --prompt | --timeout | --lines | --limit | --after | --run | --url | --drop-in | --at | --threshold | -t | -n | -r) return ;;
	*)
		case $cur in
		-*) words=$(aoctl __complete ${command:+"$command"} 2>/dev/null) ;;
		*) case $command in
			'') words=$(aoctl __complete 2>/dev/null) ;;
			doc) words=$(aoctl __complete old 2>/dev/null | sed -n 's/^doc-//p') ;;
			token) case $first in
				'') words='create list revoke' ;;
				revoke) words=$(_aoctl_tokens) ;;
				*) return ;;
				esac ;;
			set-property) if [ -z "$first" ]; then words=$(_aoctl_sessions); else
				words='CPUWeight= CPUQuota= CPUQuotaPeriodSec= AllowedCPUs= AllowedMemoryNodes= MemoryHigh= MemoryMax= MemorySwapMax= TasksMax= IOWeight= IOReadBandwidthMax= IOWriteBandwidthMax= IOReadIOPSMax= IOWriteIOPSMax='
			fi ;;
			help) words=$(aoctl __complete 2>/dev/null | grep -v '^-') ;;
			delete | show) words=$(if [ -n "$blueprint" ]; then _aoctl_blueprints; else _aoctl_sessions; fi) ;;
			resume | stop | freeze | thaw | usage | top | status | logs | result | wait | plan) words=$(_aoctl_sessions) ;;
			cat | edit | enable | disable | mask | unmask | history | diff | revert) words=$(_aoctl_blueprints) ;;
			security) words=$(_aoctl_blueprints; _aoctl_sessions) ;;
			verify | import)
				mapfile -t COMPREPLY < <(compgen -f -- "$cur")
				compopt -o filenames 2>/dev/null
				return ;;
			*) return ;;
			esac ;;
		esac ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

complete -F _aoctl aoctl
complete -F _aoctl_old $(aoctl __complete old 2>/dev/null)
