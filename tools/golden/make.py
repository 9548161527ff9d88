#!/usr/bin/env python3
"""Makes tests/golden/*.gguf: tiny random models of each architecture with the logits that Hugging Face Transformers
computes for them in fp32. Run by hand, never by ./test:

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install torch transformers gguf
    /tmp/golden/bin/python tools/golden/make.py [--only NAME] [--out tests/golden]

Each file is a model as llama.cpp's converter would write it (names, keys, permuted q and k of the Llama family, 1 added
to Gemma's norms), matrices in F16, the rest in F32, without a vocabulary. Weights are large enough that a norm in the
wrong place or a wrong base of RoPE moves logits by whole units. What Transformers says lies in the same file, in keys
that no engine knows:

    golden.ids        the prompt
    golden.positions  the positions whose logits follow
    golden.logits     (positions, vocabulary)

Made with torch 2.15.0, transformers 5.23.0, gguf 0.19.0; other versions may give other random weights.
"""

import argparse
import math
import os

import gguf
import numpy as np
import torch
import transformers

VOCABULARY = 300
PROMPT_TOKENS = 150  # past a segment of 128 positions, every window and every original context here
POSITIONS = [0, 1, 7, 15, 16, 17, 40, 64, 127, 128, 149]

# Of Transformers' modules to those of GGUF; what is before them is the layer's prefix.
MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
GEMMA_MODULES = MODULES | {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}

SMALL = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    max_position_embeddings=512,
    tie_word_embeddings=False,
    rope_theta=10000.0,
    rms_norm_eps=0.01,  # large, so that it shows
)


def models():
    """Name to (configuration, keys that are not read off the configuration)."""
    llama, mistral = transformers.LlamaConfig, transformers.MistralConfig
    qwen2, qwen3, gemma3 = transformers.Qwen2Config, transformers.Qwen3Config, transformers.Gemma3TextConfig
    small = lambda config, **changes: config(**(SMALL | changes))
    yarn = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
    llama3 = dict(
        rope_type="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=64,
    )
    halves = dict(num_attention_heads=2, num_key_value_heads=1)  # llama.cpp takes heads * head_dim = hidden here
    gemma = dict(
        num_hidden_layers=7,
        num_key_value_heads=1,
        intermediate_size=32,
        tie_word_embeddings=True,
        sliding_window=16,
        query_pre_attn_scalar=16,
    )
    return {
        "llama2": small(llama, num_key_value_heads=4, head_dim=8),
        "llama3": small(llama, rope_theta=500000.0, rope_scaling=llama3),
        "llama_linear": small(llama, rope_scaling=dict(rope_type="linear", factor=4.0)),
        "llama_yarn": small(llama, rope_scaling=yarn),
        "llama_yarn_tuned": small(llama, rope_scaling=yarn | dict(attention_factor=1.3, beta_fast=8.0, beta_slow=2.0)),
        "llama_biases": small(llama, attention_bias=True),
        "mistral": small(mistral, head_dim=24, sliding_window=None),
        "mistral_window": small(mistral, sliding_window=20),
        "tinyllama": small(llama, num_attention_heads=8, num_key_value_heads=1, head_dim=4),
        "smollm2": small(
            llama,
            hidden_size=96,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            head_dim=32,
            tie_word_embeddings=True,
        ),
        "qwen2": small(qwen2, **halves, rope_theta=1e6, tie_word_embeddings=True),
        "qwen25_yarn": small(qwen2, **halves, rope_theta=1e6, rope_scaling=yarn),
        "qwen3": small(qwen3, rope_theta=1e6, head_dim=24, tie_word_embeddings=True),
        "gemma3": small(gemma3, **gemma, rope_theta=1e6),
        "gemma3_linear": small(
            gemma3,
            **gemma,
            rope_theta=1e6,
            rope_local_base_freq=5000.0,
            rope_scaling=dict(rope_type="linear", factor=8.0),
            sliding_window_pattern=3,
        ),
    }


def rope_of(config):
    """Parameters of the layers that see everything."""
    rope = config.rope_parameters
    return rope.get("full_attention", rope)


def fill(model, generator):
    """Random weights that fp16 holds exactly; outputs about as large as inputs, biases and norms not neutral."""
    gemma = model.config.model_type == "gemma3_text"
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "embed_tokens" in name:
            values = noise * (1.5 / math.sqrt(parameter.shape[1]) if gemma else 0.8)
        elif name.endswith("norm.weight"):
            values = 0.3 * noise + (0.0 if gemma else 1.0)
        elif name.endswith("bias"):
            values = noise
        else:
            gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.3
            values = noise * (gain / math.sqrt(parameter.shape[1]))
        parameter.data = values.half().float()


def permuted(weights, heads):
    """Pairs of a head from halves to neighbours, as GGUF keeps q and k of the Llama family."""
    shape = weights.shape
    return weights.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def gguf_tensors(model):
    config = model.config
    gemma, llama = config.model_type == "gemma3_text", config.model_type in ("llama", "mistral")
    modules = GEMMA_MODULES if gemma else MODULES
    for name, parameter in model.state_dict().items():
        module, kind = name.rsplit(".", 1)
        if module == "lm_head" and config.tie_word_embeddings:
            continue
        values = parameter.numpy()
        if gemma and module.endswith("norm"):
            values = values + np.float32(1)
        if llama and module.endswith("q_proj"):
            values = permuted(values, config.num_attention_heads)
        if llama and module.endswith("k_proj"):
            values = permuted(values, config.num_key_value_heads)
        if module in TOP:
            target = TOP[module]
        else:
            layer, part = module.removeprefix("model.layers.").split(".", 1)
            target = f"blk.{layer}.{modules[part]}"
        yield f"{target}.{kind}", values.astype(np.float16) if values.ndim == 2 else values


def llama3_divisors(config):
    """What Llama 3's scaling divides each pair's frequency by (rope_freqs.weight)."""
    rope = rope_of(config)
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    for i in range(0, config.head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / config.head_dim)
        smooth = (rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"]) / (
            rope["high_freq_factor"] - rope["low_freq_factor"]
        )
        if wavelength < high:
            yield 1.0
        elif wavelength > low:
            yield rope["factor"]
        else:
            yield 1 / ((1 - smooth) / rope["factor"] + smooth)


def write_rope(writer, config):
    rope = rope_of(config)
    writer.add_rope_freq_base(rope["rope_theta"])
    local_base = config.rope_parameters.get("sliding_attention", {}).get("rope_theta", 10000.0)
    if local_base != 10000.0:  # which older files of Gemma 3 leave out
        writer.add_rope_freq_base_swa(local_base)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        for key, write in {
            "attention_factor": writer.add_rope_scaling_yarn_attn_factor,
            "beta_fast": writer.add_rope_scaling_yarn_beta_fast,
            "beta_slow": writer.add_rope_scaling_yarn_beta_slow,
        }.items():
            if rope.get(key) is not None:
                write(rope[key])
    elif rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", np.array(list(llama3_divisors(config)), dtype=np.float32))


def write_config(writer, config):
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if config.model_type in ("llama", "mistral"):
        writer.add_rope_dimension_count(config.head_dim)
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
        if getattr(config, "_sliding_window_pattern", 6) != 6:
            writer.add_sliding_window_pattern(config._sliding_window_pattern)
    writer.add_tokenizer_model("no_vocab")


def golden(model, seed):
    """The prompt, and what Transformers says after each of POSITIONS."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(VOCABULARY, (1, PROMPT_TOKENS), generator=generator)
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0, POSITIONS]
    assert logits.dtype == torch.float32 and torch.isfinite(logits).all()
    return ids[0].tolist(), logits.numpy()


def make(name, config, seed, path):
    config._attn_implementation = "eager"
    classes = transformers.AutoModelForCausalLM
    model = classes.from_config(config, attn_implementation="eager").float().eval()
    fill(model, torch.Generator().manual_seed(seed))
    model.tie_weights()
    ids, logits = golden(model, seed + 1)
    architecture = {"mistral": "llama", "gemma3_text": "gemma3"}.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    write_config(writer, config)
    write_rope(writer, config)
    for tensor, values in gguf_tensors(model):
        writer.add_tensor(tensor, np.ascontiguousarray(values))
    writer.add_array("golden.ids", ids)
    writer.add_array("golden.positions", POSITIONS)
    writer.add_array("golden.logits", [float(x) for x in logits.flatten()])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{name}: {os.path.getsize(path)} bytes, logits {np.abs(logits).max():.2f} at most, {logits.std():.2f} rms")
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only")
    parser.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "../../tests/golden"))
    arguments = parser.parse_args()
    for number, (name, config) in enumerate(models().items()):
        if arguments.only in (None, name):
            make(name, config, 1000 * (number + 1), os.path.join(arguments.out, name + ".gguf"))


if __name__ == "__main__":
    main()
