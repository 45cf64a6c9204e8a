"""Leaves a word where the guest finds it.

In a Linux guest it is in
``/sys/firmware/qemu_fw_cfg/by_name/opt/org.example.hello/raw``.
"""

from qemu_cli.hookspecs import VMFacts, hookimpl


def word(vm: VMFacts) -> object:
    """``word`` in the table ``[plugin.hello]`` of instance.toml."""
    return vm.plugin.get("hello", {}).get("word", "hello")


@hookimpl
def qemu_cli_check_definition(vm: VMFacts) -> list[str]:
    if isinstance(word(vm), str):
        return []
    return ["[plugin.hello]: word must be a string"]


@hookimpl
def qemu_cli_add_arguments(vm: VMFacts) -> list[str]:
    text = str(word(vm)).replace(",", ",,")
    return ["-fw_cfg", f"name=opt/org.example.hello,string={text}"]
