# bash completion for qemu; made by `qemu completion bash`.
# shellcheck shell=bash

# The instances, by their directories: TAB on a VM starts no Python.
_qemu_vms() {
    local data file
    if [[ -n ${QEMU_CLI_HOME-} ]]; then
        data=$QEMU_CLI_HOME
    elif [[ ${XDG_DATA_HOME-} == /* ]]; then
        data=$XDG_DATA_HOME/qemu-cli
    else
        data=${HOME-}/.local/share/qemu-cli
    fi
    for file in "$data"/instances/*/instance.toml; do
        [[ -e $file ]] || continue
        file=${file%/instance.toml}
        printf '%s\n' "${file##*/}"
    done
}

# What there is of a kind, one a line; $2 is the VM.
_qemu_values() {
    local list=(-f value --columns)
    case $1 in
    vm) _qemu_vms ;;
    disk) qemu disk list "$2" "${list[@]}" disk ;;
    snapshot) qemu snapshot list "$2" "${list[@]}" name ;;
    export) qemu export list "$2" "${list[@]}" name ;;
    job) qemu job list "$2" "${list[@]}" id ;;
    device) qemu device list "$2" "${list[@]}" id ;;
    usb) qemu usb list "$2" "${list[@]}" id ;;
    state) printf '%s\n' @STATES@ ;;
    format) printf '%s\n' @FORMATS@ ;;
    operator) printf '%s\n' @OPERATORS@ ;;
    condition) printf '%s\n' @CONDITIONS@ ;;
    key) printf '%s\n' @KEYS@ ;;
    shell) printf '%s\n' bash zsh fish ;;
    command) printf '%s\n' @FIRST@ @TOPICS@ ;;
    one:*) printf '%s\n' "${1#one:}" | tr , ' ' ;;
    esac 2>/dev/null
}

# Take what begins as $1 does, and quote it; `compgen -W` would expand it.
_qemu_match() {
    local words word
    while read -ra words; do
        for word in "${words[@]}"; do
            [[ $word == "$1"* ]] || continue
            printf -v word %q "$word"
            COMPREPLY+=("$word")
        done
    done
}

_qemu_table() {
    case $1 in
@CASES@
    *) return 1 ;;
    esac
}

_qemu() {
    local cur=${COMP_WORDS[COMP_CWORD]} i=1 verbs='' kind='' vm='' n=0
    local options takes arguments word pair
    COMPREPLY=()

    # The options of qemu itself.
    while ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i]} == -* ]]; do
        case ${COMP_WORDS[i]} in
        -c) kind=key ;;
        --log-file) kind='file' ;;
        *) kind='' ;;
        esac
        ((i += 1))
        if [[ -n $kind ]]; then
            if ((i >= COMP_CWORD)); then
                _qemu_reply "$kind" '' "$cur"
                return
            fi
            ((i += 1))
            # bash parts KEY=VALUE.
            if [[ ${COMP_WORDS[i]-} == '=' ]]; then ((i += 2)); fi
        fi
    done
    kind=''
    if ((i >= COMP_CWORD)); then
        case $cur in
        -*) _qemu_match "$cur" < <(printf '%s\n' @GLOBAL@) ;;
        *) _qemu_match "$cur" < <(printf '%s\n' @FIRST@) ;;
        esac
        return
    fi

    # The command: two words, or one.
    if ((i + 1 < COMP_CWORD)) &&
        _qemu_table "${COMP_WORDS[i]} ${COMP_WORDS[i + 1]}"; then
        ((i += 2))
    elif _qemu_table "${COMP_WORDS[i]}"; then
        ((i += 1))
    elif ((i + 1 == COMP_CWORD)); then
        verbs=''
        for pair in @SECOND@; do
            [[ $pair == "${COMP_WORDS[i]}:"* ]] && verbs+=" ${pair#*:}"
        done
        [[ -n $verbs ]] || verbs=$(_qemu_vms) # an alias, or a plug-in
        _qemu_match "$cur" < <(printf '%s\n' "$verbs")
        return
    else
        options='' takes='' arguments='vm*'
        ((i += 1))
    fi

    # Its words: which is the one at the cursor?
    for ((; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $kind ]]; then
            if [[ $kind == */* ]]; then kind=${kind#*/}; else kind=''; fi
        elif [[ $word == -* ]]; then
            for pair in $takes; do
                [[ $pair == "$word="* ]] && kind=${pair#*=}
            done
        else
            [[ -n $vm ]] || vm=$word
            ((n += 1))
        fi
    done
    if [[ -n $kind ]]; then
        _qemu_reply "${kind%%/*}" "$vm" "$cur"
    elif [[ $cur == -* ]]; then
        _qemu_match "$cur" < <(printf '%s\n' "$options")
    else
        for pair in $arguments; do
            kind=$pair
            if ((n == 0)) || [[ $pair == *'*' ]]; then break; fi
            kind=''
            ((n -= 1))
        done
        _qemu_reply "${kind%'*'}" "$vm" "$cur"
    fi
}

_qemu_reply() {
    if [[ $1 == file ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$3")
    elif [[ -n $1 && $1 != any ]]; then
        _qemu_match "$3" < <(_qemu_values "$1" "$2")
    fi
}

complete -F _qemu qemu
