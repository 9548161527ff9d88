#!/usr/bin/env python3
"""Makes tests/golden/gemma3_270m.jsonl: what Transformers computes in fp32 with the dequantized weights of the real
Gemma 3 270M file. Numbers only: ids and log-probabilities. Run by hand, never by ./test:

    python3 tools/golden/gemma3.py models/gemma-3-270m-q4_k_m.gguf ../shared/data/tokenizer/gemma3.jsonl

The second file gives texts as ids, of which the prompts are made: a short one, and one longer than the window (512).
Made with torch 2.15.0, transformers 5.23.0, gguf 0.19.0.
"""

import json
import os
import sys

import gguf
import numpy as np
import torch
import transformers

from make import GEMMA_MODULES, TOP

BOS = 2
GREEDY = 16


def configuration(reader):
    get = lambda key: reader.fields["gemma3." + key].contents()
    return transformers.Gemma3TextConfig(
        vocab_size=int(next(t for t in reader.tensors if t.name == "token_embd.weight").shape[1]),
        hidden_size=get("embedding_length"),
        intermediate_size=get("feed_forward_length"),
        num_hidden_layers=get("block_count"),
        num_attention_heads=get("attention.head_count"),
        num_key_value_heads=get("attention.head_count_kv"),
        head_dim=get("attention.key_length"),
        query_pre_attn_scalar=get("attention.key_length"),
        max_position_embeddings=get("context_length"),
        rope_theta=get("rope.freq_base"),
        sliding_window=get("attention.sliding_window"),
        rms_norm_eps=get("attention.layer_norm_rms_epsilon"),
    )


def state(reader):
    """The file's tensors under Transformers' names."""
    names = {target: module for module, target in TOP.items()}
    parts = {target: module for module, target in GEMMA_MODULES.items()}
    for tensor in reader.tensors:
        target = tensor.name.removesuffix(".weight")
        if target.startswith("blk."):
            layer, part = target.removeprefix("blk.").split(".", 1)
            module = f"model.layers.{layer}.{parts[part]}"
        else:
            module = names[target]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        yield module + ".weight", torch.from_numpy(values - 1 if module.endswith("norm") else values.copy())


def prompts(path):
    rows = [json.loads(line)["ids"] for line in open(path, encoding="utf-8")]
    short = next(row for row in rows if 30 <= len(row) <= 60)
    everything = [token for row in rows for token in row]
    yield "short", [BOS] + short
    yield "past the window", [BOS] + everything[:599]


def measure(model, ids):
    with torch.no_grad():
        logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
    following = logprobs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    top = logprobs[-1].topk(20)
    return float(-following.mean()), list(zip(top.indices.tolist(), top.values.tolist()))


def greedy(model, ids):
    chosen, margins = [], []
    for _ in range(GREEDY):
        with torch.no_grad():
            best = model(torch.tensor([ids + chosen])).logits[0, -1].topk(2)
        chosen.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
    return chosen, margins


def main():
    reader = gguf.GGUFReader(sys.argv[1])
    model = transformers.Gemma3ForCausalLM._from_config(configuration(reader), attn_implementation="eager")
    weights = dict(state(reader))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.float().eval().load_state_dict(weights)
    with open(os.path.join(os.path.dirname(__file__), "../../tests/golden/gemma3_270m.jsonl"), "w") as out:
        for name, ids in prompts(sys.argv[2]):
            nll, top = measure(model, ids)
            chosen, margins = greedy(model, ids)
            row = {
                "name": name,
                "prompt_ids": ids,
                "prompt_mean_nll": round(nll, 7),
                "first_top20": [[token, round(value, 6)] for token, value in top],
                "greedy_ids": chosen,
                "greedy_margin": [round(margin, 5) for margin in margins],
            }
            out.write(json.dumps(row) + "\n")
            print(name, len(ids), "tokens, mean NLL", nll, "greedy", chosen)


if __name__ == "__main__":
    main()
