#!/usr/bin/env python3
"""Writes engine/text/nfc_table.inc: what Unicode's form NFC needs to know, from Python's own Unicode database.

Usage: tools/nfc_table.py > engine/text/nfc_table.inc
"""
import unicodedata

HANGUL = range(0xAC00, 0xAC00 + 11172)
composed, decomposed, orders = [], [], []
for code in range(0x110000):
    char = chr(code)
    mapping = unicodedata.decomposition(char)
    if mapping and not mapping.startswith("<") and code not in HANGUL:
        parts = [int(part, 16) for part in mapping.split()]
        composes = len(parts) == 2 and unicodedata.normalize("NFC", "".join(map(chr, parts))) == char
        (composed if composes else decomposed).append((code, parts[0], parts[1] if len(parts) == 2 else 0))
    order = unicodedata.combining(char)
    if order and orders and orders[-1][1:] == (code - 1, order):
        orders[-1] = (orders[-1][0], code, order)
    elif order:
        orders.append((code, code, order))


def write(name, comment, rows):
    lines, line = [], " "
    for number in (f"{n:#x}" if n > 9 else str(n) for row in rows for n in row):
        if len(line) + len(number) + 2 > 120:
            lines.append(line)
            line = " "
        line += f" {number},"
    print(f"// {comment}\nconstexpr char32_t {name}[] = {{")
    print("\n".join(lines + [line[:-1] + "};"]))


print(f"// Unicode {unicodedata.unidata_version}, written by tools/nfc_table.py.\n// clang-format off")
write("kComposed", "A character and the two that it is made of and is put together from.", composed)
write("kDecomposed", "A character and the two (or one and 0) that it is replaced by.", decomposed)
write("kOrders", "First, last, canonical combining class where it is not 0.", orders)
print("// clang-format on")
