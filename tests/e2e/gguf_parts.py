"""Splits a GGUF file into parts, as llama-gguf-split names and marks them."""

import os
import struct

ALIGNMENT = 32
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of metadata values
UINT16, INT32 = 2, 5


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]

    def text(self):
        return self.take(self.number("Q"))

    def skip_value(self, kind):
        if kind == 8:
            self.text()
        elif kind == 9:
            element, count = self.number("I"), self.number("Q")
            for _ in range(count if element == 8 else 0):
                self.text()
            self.take(0 if element == 8 else SIZES[element] * count)
        else:
            self.take(SIZES[kind])


def pad(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def key(name, kind, form, value):
    return struct.pack("<Q", len(name)) + name + struct.pack("<I" + form, kind, value)


def read(path):
    """Version, number of keys, their bytes, tensors (name and dims as bytes, type, offset), data."""
    with open(path, "rb") as file:
        reader = Reader(file.read())
    assert reader.take(4) == b"GGUF"
    version, tensors, keys = reader.number("I"), reader.number("Q"), reader.number("Q")
    begin = reader.at
    for _ in range(keys):
        reader.text()
        reader.skip_value(reader.number("I"))
    metadata = reader.data[begin:reader.at]
    found = []
    for _ in range(tensors):
        start = reader.at
        reader.text()
        reader.take(8 * reader.number("I"))
        entry = reader.data[start:reader.at]
        found.append((entry, reader.number("I"), reader.number("Q")))
    return version, keys, metadata, found, reader.data[reader.at + -reader.at % ALIGNMENT:]


def split(path, folder, stem, count):
    """Writes `count` parts with about as many tensors each; returns their paths."""
    version, keys, metadata, tensors, data = read(path)
    ends = [offset for _, _, offset in tensors[1:]] + [len(data)]
    paths = []
    for part in range(count):
        mine = range(len(tensors) * part // count, len(tensors) * (part + 1) // count)
        marks = key(b"split.no", UINT16, "H", part) + key(b"split.count", UINT16, "H", count)
        marks += key(b"split.tensors.count", INT32, "i", len(tensors))
        header = b"GGUF" + struct.pack("<IQQ", version, len(mine), 3 + (keys if part == 0 else 0))
        header += (metadata if part == 0 else b"") + marks
        body = b""
        for i in mine:
            entry, kind, offset = tensors[i]
            header += entry + struct.pack("<IQ", kind, len(body))
            body = pad(body + data[offset:ends[i]])
        paths.append(os.path.join(folder, f"{stem}-{part + 1:05d}-of-{count:05d}.gguf"))
        with open(paths[-1], "wb") as out:
            out.write(pad(header) + body)
    return paths


def vocabulary_only(path, out):
    """The keys of a model without its tensors."""
    version, keys, metadata, _, _ = read(path)
    with open(out, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", version, 0, keys) + metadata)
    return out
