"""A copy of a GGUF file with another chat template: the tensors stay as they are."""

import io
import struct

FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value by its type
STRING, ARRAY = 8, 9
KEY = b"tokenizer.chat_template"
ALIGNMENT = 32


def read_string(file):
    (size,) = struct.unpack("<Q", file.read(8))
    return file.read(size)


def skip_value(file, kind):
    if kind == STRING:
        read_string(file)
    elif kind == ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        if inner in FIXED:
            file.seek(FIXED[inner] * count, io.SEEK_CUR)
        else:
            for _ in range(count):
                skip_value(file, inner)
    else:
        file.seek(FIXED[kind], io.SEEK_CUR)


def string(data):
    return struct.pack("<Q", len(data)) + data


def padding(size):
    return b"\0" * (-size % ALIGNMENT)


def with_template(source, target, template):
    with open(source, "rb") as file:
        head = file.read(24)
        tensors, pairs = struct.unpack("<QQ", head[8:])
        written = b""
        for _ in range(pairs):
            start = file.tell()
            key = read_string(file)
            (kind,) = struct.unpack("<I", file.read(4))
            skip_value(file, kind)
            end = file.tell()
            file.seek(start)
            raw = file.read(end - start)
            written += string(KEY) + struct.pack("<I", STRING) + string(template.encode()) if key == KEY else raw
        start = file.tell()
        for _ in range(tensors):
            read_string(file)
            (dimensions,) = struct.unpack("<I", file.read(4))
            file.seek(8 * dimensions + 12, io.SEEK_CUR)
        end = file.tell()
        file.seek(start)
        written = head + written + file.read(end - start)
        file.seek(end + len(padding(end)))
        with open(target, "wb") as out:
            out.write(written + padding(len(written)))
            while block := file.read(1 << 24):
                out.write(block)
    return target
