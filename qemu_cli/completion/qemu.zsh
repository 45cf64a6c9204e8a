#compdef qemu
# zsh completion for qemu; made by `qemu completion zsh`.

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
    for file in $data/instances/*/instance.toml(N:h:t); do
        print -r -- $file
    done
}

# What there is of a kind, one a line; $2 is the VM.
_qemu_values() {
    local -a list=(-f value --columns)
    case $1 in
    vm) _qemu_vms ;;
    disk) qemu disk list "$2" $list disk ;;
    snapshot) qemu snapshot list "$2" $list name ;;
    export) qemu export list "$2" $list name ;;
    job) qemu job list "$2" $list id ;;
    device) qemu device list "$2" $list id ;;
    usb) qemu usb list "$2" $list id ;;
    state) print -l -- @STATES@ ;;
    format) print -l -- @FORMATS@ ;;
    operator) print -l -- @OPERATORS@ ;;
    condition) print -l -- @CONDITIONS@ ;;
    key) print -l -- @KEYS@ ;;
    shell) print -l -- bash zsh fish ;;
    command) print -l -- @FIRST@ @TOPICS@ ;;
    one:*) print -l -- ${(s:,:)1#one:} ;;
    esac 2>/dev/null
}

_qemu_table() {
    case $1 in
@CASES@
    *) return 1 ;;
    esac
}

_qemu_reply() {
    local -a found
    if [[ $1 == file ]]; then
        _files
    elif [[ -n $1 && $1 != any ]]; then
        found=(${(f)"$(_qemu_values "$1" "$2")"})
        compadd -a found
    fi
}

_qemu() {
    local i=2 kind= vm= n=0 options= takes= arguments= word pair
    local cur=${words[CURRENT]}
    local -a found

    # The options of qemu itself.
    while ((i < CURRENT)) && [[ ${words[i]} == -* ]]; do
        case ${words[i]} in
        -c) kind=key ;;
        --log-file) kind=file ;;
        *) kind= ;;
        esac
        ((i += 1))
        if [[ -n $kind ]]; then
            if ((i >= CURRENT)); then
                _qemu_reply $kind ''
                return
            fi
            ((i += 1))
        fi
    done
    kind=
    if ((i >= CURRENT)); then
        if [[ $cur == -* ]]; then
            found=(@GLOBAL@)
        else
            found=(@FIRST@)
        fi
        compadd -a found
        return
    fi

    # The command: two words, or one.
    if ((i + 1 < CURRENT)) && _qemu_table "${words[i]} ${words[i + 1]}"; then
        ((i += 2))
    elif _qemu_table ${words[i]}; then
        ((i += 1))
    elif ((i + 1 == CURRENT)); then
        for pair in @SECOND@; do
            [[ $pair == ${words[i]}:* ]] && found+=(${pair#*:})
        done
        (($#found)) || found=(${(f)"$(_qemu_vms)"}) # an alias, or a plug-in
        compadd -a found
        return
    else
        arguments='vm*'
        ((i += 1))
    fi

    # Its words: which is the one at the cursor?
    for ((; i < CURRENT; i++)); do
        word=${words[i]}
        if [[ -n $kind ]]; then
            if [[ $kind == */* ]]; then kind=${kind#*/}; else kind=; fi
        elif [[ $word == -* ]]; then
            for pair in ${=takes}; do
                [[ $pair == $word=* ]] && kind=${pair#*=}
            done
        else
            [[ -n $vm ]] || vm=$word
            ((n += 1))
        fi
    done
    if [[ -n $kind ]]; then
        _qemu_reply ${kind%%/*} "$vm"
    elif [[ $cur == -* ]]; then
        found=(${=options})
        compadd -a found
    else
        for pair in ${=arguments}; do
            kind=$pair
            if ((n == 0)) || [[ $pair == *'*' ]]; then break; fi
            kind=
            ((n -= 1))
        done
        _qemu_reply ${kind%'*'} "$vm"
    fi
}

# As a file of $fpath it is called at once; sourced, it is registered.
if [[ ${funcstack[1]-} == _qemu ]]; then
    _qemu "$@"
else
    compdef _qemu qemu
fi
