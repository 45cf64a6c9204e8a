# fish completion for qemu; made by `qemu completion fish`.

# The instances, by their directories: TAB on a VM starts no Python.
function __qemu_vms
    set -l data $HOME/.local/share/qemu-cli
    if set -q QEMU_CLI_HOME; and test -n "$QEMU_CLI_HOME"
        set data $QEMU_CLI_HOME
    else if string match -q '/*' -- "$XDG_DATA_HOME"
        set data $XDG_DATA_HOME/qemu-cli
    end
    for file in $data/instances/*/instance.toml
        string replace -r '.*/([^/]+)/instance\.toml$' '$1' -- $file
    end
end

# What there is of a kind, one a line; $argv[2] is the VM.
function __qemu_values
    set -l vm $argv[2]
    switch $argv[1]
        case vm
            __qemu_vms
        case file
            __fish_complete_path (commandline -ct)
        case disk
            qemu disk list $vm -f value --columns disk 2>/dev/null
        case snapshot
            qemu snapshot list $vm -f value --columns name 2>/dev/null
        case export
            qemu export list $vm -f value --columns name 2>/dev/null
        case job
            qemu job list $vm -f value --columns id 2>/dev/null
        case device
            qemu device list $vm -f value --columns id 2>/dev/null
        case usb
            qemu usb list $vm -f value --columns id 2>/dev/null
        case state
            printf '%s\n' @STATES@
        case format
            printf '%s\n' @FORMATS@
        case operator
            printf '%s\n' @OPERATORS@
        case condition
            printf '%s\n' @CONDITIONS@
        case key
            printf '%s\n' @KEYS@
        case shell
            printf '%s\n' bash zsh fish
        case command
            printf '%s\n' @FIRST@ @TOPICS@
        case 'one:*'
            string replace 'one:' '' -- $argv[1] | string split ,
    end
end

function __qemu_complete
    set -l tokens (commandline -opc)
    set -e tokens[1]
    set -l cur (commandline -ct)
    set -l options
    set -l takes
    set -l arguments

    # The options of qemu itself.
    while string match -q -- '-*' "$tokens[1]"
        set -l option $tokens[1]
        set -e tokens[1]
        if contains -- $option -c --log-file
            if test (count $tokens) -eq 0
                test $option = -c; and __qemu_values key; or __qemu_values file
                return
            end
            set -e tokens[1]
        end
    end
    if test (count $tokens) -eq 0
        if string match -q -- '-*' $cur
            printf '%s\n' @GLOBAL@
        else
            printf '%s\n' @FIRST@
        end
        return
    end

    # The command: two words, or one.
    set -l command $tokens[1]
    if contains -- "$tokens[1]:$tokens[2]" @SECOND@
        set command "$tokens[1] $tokens[2]"
        set -e tokens[1]
    else if test (count $tokens) -eq 1
        set -l verbs (string match -- "$command:*" @SECOND@)
        if test (count $verbs) -gt 0
            string replace "$command:" '' -- $verbs
            return
        end
    end
    set -e tokens[1]
    switch $command
@CASES@
        case '*'
            set arguments 'vm*' # an alias, or a plug-in
    end

    # Its words: which is the one at the cursor?
    set -l kind
    set -l vm
    for word in $tokens
        if test -n "$kind"
            if string match -q '*/*' -- $kind
                set kind (string replace -r '^[^/]*/' '' -- $kind)
            else
                set kind
            end
        else if string match -q -- '-*' $word
            set kind (string match -- "$word=*" $takes | string replace -r '^[^=]*=' '')
        else
            test -n "$vm"; or set vm $word
            if not string match -q '*\*' -- "$arguments[1]"
                set -e arguments[1]
            end
        end
    end
    if test -n "$kind"
        __qemu_values (string replace -r '/.*' '' -- $kind) $vm
    else if string match -q -- '-*' $cur
        printf '%s\n' $options
    else if set -q arguments[1]
        __qemu_values (string replace '*' '' -- $arguments[1]) $vm
    end
end

complete -c qemu -f -a '(__qemu_complete)'
