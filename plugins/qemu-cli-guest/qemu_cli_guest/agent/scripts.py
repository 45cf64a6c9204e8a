"""What a shell in the guest does for us (POSIX sh, no more)."""

SHELL = "/bin/sh"

#: Runs a program with its output in files, which can be read meanwhile:
#: the agent itself only tells what a program wrote when it has ended.
#:
#: ``sh BASE [NAME=VALUE…] -- PROGRAM [ARGUMENT…]``; BASE.out and BASE.err
#: are the program's, BASE.end its exit code, for when the agent forgets.
#: Our own stdout says that it was run, and what is worth reading; where
#: that is nothing, no files are left.  But who asks an agent that was
#: started again needs them.
RUN = """
b=$1; shift
while [ "$1" != -- ]; do export "$1"; shift; done; shift
(umask 077; : >"$b.out"; : >"$b.err") || exit 125
%s
s=$?
echo $s >"$b.end"
echo ran
[ -s "$b.out" ] && echo out
[ -s "$b.err" ] && echo err
if [ ! -s "$b.out" ] && [ ! -s "$b.err" ] && kill -0 $PPID 2>/dev/null; then
    echo clean
    rm -f "$b.out" "$b.err" "$b.end" "$b.in" "$b.hold" >/dev/null 2>&1 &
fi
exit $s
"""

#: The subshell keeps `exit` and `cd` from being ours.
PLAIN = RUN % '("$@") >>"$b.out" 2>>"$b.err"'

#: The same, with input that comes bit by bit through a pipe.  It ends
#: when nobody has it open for writing: so somebody has, for as long.
FED = RUN % (
    """mkfifo -m 600 "$b.in" || exit 125
sleep 2147483647 </dev/null >"$b.in" 2>/dev/null &
h=$!
echo $h >"$b.hold"
("$@") <"$b.in" >>"$b.out" 2>>"$b.err\""""
).replace("s=$?\n", "s=$?\nkill $h 2>/dev/null\n")

#: ``sh BASE``; writes its own input into the pipe, once that is there.
FEED = """
until [ -p "$1.in" ]; do sleep 0.01 || sleep 1; done
exec cat >"$1.in"
"""

#: ``sh BASE``; the input ends.
END_OF_INPUT = 'kill "$(cat "$1.hold")"'

#: ``sh BASE PID``; the exit code, 1: it goes on, 2: it has none.
LOOK = """
[ -s "$1.end" ] && exec cat "$1.end"
kill -0 "$2" 2>/dev/null && exit 1
[ -s "$1.end" ] && exec cat "$1.end"
exit 2
"""

#: ``sh BASE [PID…]``; nothing is left of it; who feeds it ends.
CLEAN_UP = """
b=$1; shift
rm -f "$b.out" "$b.err" "$b.end" "$b.in" "$b.hold"
[ $# = 0 ] || kill -9 "$@"
"""

#: ``sh PID``; it ends with all of its children, of its own will if it
#: has one.  They have no process group of their own.
END = """
tree() {
    echo $1
    for c in $(cat /proc/$1/task/*/children 2>/dev/null); do tree $c; done
}
some() { for p in $all; do kill -0 $p 2>/dev/null && return; done; return 1; }
all=$(tree $1)
kill -TERM $all
n=0
while some && [ $n -lt 20 ]; do n=$((n + 1)); sleep 0.1 || sleep 1; done
some && kill -KILL $all
:
"""

#: ``sh [NAME=VALUE…] -- PROGRAM [ARGUMENT…]``; without us.
DETACH = """
while [ "$1" != -- ]; do export "$1"; shift; done; shift
exec "$@"
"""


def argv(script: str, *words: str) -> list[str]:
    """The command line that runs a script."""
    return [SHELL, "-c", script, "sh", *words]
