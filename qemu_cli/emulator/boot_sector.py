"""A guest of 512 bytes: what the accelerator self-test runs.

The BIOS loads it to 0x7c00.  It enters long mode as an operating system
does, touches memory, leaves the guest a thousand times, counts, and ends
QEMU through the isa-debug-exit device.  What is slow when KVM itself
runs inside a VM is in it: page faults and exits to the hypervisor.

The listing is in the order of addresses; numbers are little-endian.
"""

#: Port of isa-debug-exit; QEMU exits with (value << 1) | 1.
EXIT_PORT = 0xF4
EXIT_STATUS = 0x10 << 1 | 1

_LISTING = (
    # 16 bits: real mode.
    ("fa", "cli"),
    ("31 c0", "xor ax, ax"),
    ("8e d8", "mov ds, ax"),
    ("8e c0", "mov es, ax"),
    ("8e d0", "mov ss, ax"),
    ("bc 00 7c", "mov sp, 0x7c00"),
    # Page tables: 0x1000 PML4, 0x2000 PDPT, 0x3000 PD; zeroed first.
    ("fc", "cld"),
    ("bf 00 10", "mov di, 0x1000"),
    ("b9 00 18", "mov cx, 3 * 4096 / 2"),
    ("f3 ab", "rep stosw"),
    # The first 8 MiB, identity-mapped: 3 = present, writable; 0x80 = 2 MiB.
    ("c7 06 00 10 03 20", "mov word [0x1000], 0x2000 | 3"),
    ("c7 06 00 20 03 30", "mov word [0x2000], 0x3000 | 3"),
    ("c7 06 00 30 83 00", "mov word [0x3000], 0x83"),
    ("66 c7 06 08 30 83 00 20 00", "mov dword [0x3008], 0x200083"),
    ("66 c7 06 10 30 83 00 40 00", "mov dword [0x3010], 0x400083"),
    ("66 c7 06 18 30 83 00 60 00", "mov dword [0x3018], 0x600083"),
    ("66 b8 00 10 00 00", "mov eax, 0x1000"),
    ("0f 22 d8", "mov cr3, eax"),
    ("66 b8 20 00 00 00", "mov eax, CR4.PAE"),
    ("0f 22 e0", "mov cr4, eax"),
    ("66 b9 80 00 00 c0", "mov ecx, MSR_EFER"),
    ("0f 32", "rdmsr"),
    ("0d 00 01", "or ax, EFER.LME"),
    ("0f 30", "wrmsr"),
    ("66 0f 01 16 85 7c", "lgdt [gdtr]"),
    ("66 b8 01 00 00 80", "mov eax, CR0.PG | CR0.PE"),
    ("0f 22 c0", "mov cr0, eax"),
    ("ea 8b 7c 08 00", "jmp 8:long_mode"),
    ("00 00 00 00 00 00 00 00", "gdt: null"),
    ("00 00 00 00 00 9a 20 00", "gdt + 8: 64-bit code"),
    ("0f 00 75 7c 00 00", "gdtr (0x7c85): limit 15, base gdt (0x7c75)"),
    # 64 bits: long_mode, at 0x7c8b.  Touch 1024 pages from 4 MiB on.
    ("bf 00 00 40 00", "mov edi, 4 << 20"),
    ("b9 00 04 00 00", "mov ecx, 1024"),
    ("88 0f", "touch: mov [rdi], cl"),
    ("81 c7 00 10 00 00", "add edi, 4096"),
    ("ff c9", "dec ecx"),
    ("75 f4", "jnz touch"),
    # Leave the guest 1000 times: a hypervisor always intercepts cpuid.
    ("be e8 03 00 00", "mov esi, 1000"),
    ("31 c0", "leave: xor eax, eax"),
    ("0f a2", "cpuid"),
    ("ff ce", "dec esi"),
    ("75 f8", "jnz leave"),
    # Count to a million, inside the guest.
    ("b9 40 42 0f 00", "mov ecx, 1000000"),
    ("ff c9", "count: dec ecx"),
    ("75 fc", "jnz count"),
    ("b0 10", "mov al, 0x10"),
    ("e6 f4", "out EXIT_PORT, al"),
    ("f4", "hlt"),
    ("eb fe", "jmp $"),
)

_CODE = bytes.fromhex("".join(code for code, _ in _LISTING))

#: The sector: code, zeros, and the mark that makes it bootable.
BOOT_SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"
