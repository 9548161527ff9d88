"""A model of random weights, for shapes and tensor types that the default model does not have.

Its tokenizer is the default model's, so that a server may serve it. What it says means nothing, how fast it does.
"""

import os
import random
import struct

ALIGNMENT = 32
F32, Q4_K, Q6_K = 0, 12, 14  # GGUF's numbers
BLOCKS = {Q4_K: (256, 144), Q6_K: (256, 210)}  # elements and bytes of a block
SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, UINT32, FLOAT32 = 8, 9, 4, 6
TOKENS, WIDTH, FEED_FORWARD, LAYERS, HEADS, KV_HEADS = 49152, 768, 2048, 24, 12, 4
KV_WIDTH = WIDTH // HEADS * KV_HEADS
TILE_BLOCKS = 4096  # random blocks; a tensor repeats them


def _value_end(data, at, kind):
    """Where the value that starts at `at` ends."""
    if kind == STRING:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]
    if kind != ARRAY:
        return at + SCALAR_BYTES[kind]
    element, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if element not in (STRING, ARRAY):
        return at + count * SCALAR_BYTES[element]
    for _ in range(count):
        at = _value_end(data, at, element)
    return at


def _tokenizer_keys(path):
    """The metadata of a GGUF file whose keys start with "tokenizer.", as it stands there."""
    with open(path, "rb") as file:
        data = file.read(16 << 20)
    at, kept = 24, []
    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        start = at
        name_end = at + 8 + struct.unpack_from("<Q", data, at)[0]
        at = _value_end(data, name_end + 4, struct.unpack_from("<I", data, name_end)[0])
        if data[start + 8:name_end].startswith(b"tokenizer."):
            kept.append(data[start:at])
    return kept


def _text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def _shape_keys():
    yield _text("general.architecture") + struct.pack("<I", STRING) + _text("llama")
    yield _text("general.name") + struct.pack("<I", STRING) + _text("random")
    numbers = {"block_count": LAYERS, "context_length": 8192, "embedding_length": WIDTH,
               "feed_forward_length": FEED_FORWARD, "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS,
               "rope.dimension_count": WIDTH // HEADS, "vocab_size": TOKENS}
    for name, value in numbers.items():
        yield _text("llama." + name) + struct.pack("<II", UINT32, value)
    for name, value in {"attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 1e5}.items():
        yield _text("llama." + name) + struct.pack("<If", FLOAT32, value)


def _tensors(kind):
    """(name, inputs, outputs, type), in the file's order; no outputs: a vector."""
    yield "token_embd.weight", WIDTH, TOKENS, Q6_K
    yield "output_norm.weight", WIDTH, 0, F32
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", WIDTH, 0, F32
        yield block + "ffn_norm.weight", WIDTH, 0, F32
        for name, inputs, outputs in (("attn_q", WIDTH, WIDTH), ("attn_k", WIDTH, KV_WIDTH),
                                      ("attn_v", WIDTH, KV_WIDTH), ("attn_output", WIDTH, WIDTH),
                                      ("ffn_gate", WIDTH, FEED_FORWARD), ("ffn_up", WIDTH, FEED_FORWARD),
                                      ("ffn_down", FEED_FORWARD, WIDTH)):
            yield f"{block}{name}.weight", inputs, outputs, kind


def _size(inputs, outputs, kind):
    if kind == F32:
        return 4 * inputs
    elements, size = BLOCKS[kind]
    return inputs * outputs // elements * size


def _random_blocks(kind):
    """Random bits under small scales, so that activations stay finite."""
    chance, size, scale = random.Random(kind), BLOCKS[kind][1], struct.pack("<e", 1e-4)
    if kind == Q4_K:
        return b"".join(scale + scale + chance.randbytes(size - 4) for _ in range(TILE_BLOCKS))
    return b"".join(chance.randbytes(size - 2) + scale for _ in range(TILE_BLOCKS))


def _write(file, kind, tokenizer_from):
    tensors = list(_tensors(kind))
    keys = [*_shape_keys(), *_tokenizer_keys(tokenizer_from)]
    file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)) + b"".join(keys))
    offset = 0
    for name, inputs, outputs, tensor_kind in tensors:
        shape = [inputs, outputs] if outputs else [inputs]
        file.write(_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        file.write(struct.pack("<IQ", tensor_kind, offset))
        offset += -(-_size(inputs, outputs, tensor_kind) // ALIGNMENT) * ALIGNMENT
    tiles = {tile: _random_blocks(tile) for tile in {kind, Q6_K}}
    for _, inputs, outputs, tensor_kind in tensors:
        file.write(bytes(-file.tell() % ALIGNMENT))
        size = _size(inputs, outputs, tensor_kind)
        if tensor_kind == F32:
            file.write(struct.pack("<f", 1.0) * inputs)
        else:
            tile = tiles[tensor_kind]
            file.write(tile * (size // len(tile)) + tile[:size % len(tile)])


def make_random_model(path, type_name, tokenizer_from):
    """Writes the file unless it is there. It appears whole or not at all."""
    if os.path.exists(path):
        return
    with open(path + ".partial", "wb") as file:
        _write(file, {"Q4_K": Q4_K, "Q6_K": Q6_K}[type_name], tokenizer_from)
    os.replace(path + ".partial", path)
