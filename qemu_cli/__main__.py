"""Starts the program, quickly: the executable ``qemu``."""

import gc


def main() -> int:
    """Import the program and run it.

    Start-up makes no garbage worth looking for, and looking for it is a
    twentieth of all instructions of ``qemu list``.  Later it is looked for
    now and then: some commands import more, and some run for days.
    """
    gc.disable()
    from qemu_cli import app

    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()
    code = app.main()
    # Python looks for garbage three times more when it ends; the system
    # takes all our memory back anyway.
    gc.freeze()
    return code


if __name__ == "__main__":
    raise SystemExit(main())
