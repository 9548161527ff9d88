// The peer's side of bench/run accuracy: logits of every position, by llama.cpp's C interface on the CPU. Reads lines
// "FILE ID ID ...", writes each prompt's logits to FILE as float32, (positions, vocabulary). Built by bench/run.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "llama.h"

namespace {

constexpr int kChunk = 512;

bool write_logits(llama_context* context, int vocabulary, std::vector<llama_token>& ids, const std::string& path) {
  std::ofstream out(path, std::ios::binary);
  llama_memory_clear(llama_get_memory(context), true);
  for (std::size_t first = 0; first < ids.size(); first += kChunk) {
    const int count = static_cast<int>(std::min<std::size_t>(kChunk, ids.size() - first));
    llama_batch batch = llama_batch_init(count, 0, 1);
    batch.n_tokens = count;
    for (int i = 0; i < count; ++i) {
      batch.token[i] = ids[first + i];
      batch.pos[i] = static_cast<llama_pos>(first + i);
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    const bool ok = llama_decode(context, batch) == 0;
    llama_batch_free(batch);
    if (!ok) return false;
    for (int i = 0; i < count; ++i)
      out.write(reinterpret_cast<const char*>(llama_get_logits_ith(context, i)), vocabulary * sizeof(float));
  }
  return out.good();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: llama_logits MODEL < lines\n"), 2;
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (!model) return std::fprintf(stderr, "llama_logits: cannot load %s\n", argv[1]), 1;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 4096, params.n_batch = kChunk, params.n_ubatch = kChunk, params.n_threads = 2,
  params.n_threads_batch = 2;
  llama_context* context = llama_init_from_model(model, params);
  if (!context) return std::fprintf(stderr, "llama_logits: cannot make a context\n"), 1;
  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream fields(line);
    std::string path;
    std::vector<llama_token> ids;
    fields >> path;
    for (llama_token id; fields >> id;) ids.push_back(id);
    if (!write_logits(context, vocabulary, ids, path))
      return std::fprintf(stderr, "llama_logits: %s failed\n", path.c_str()), 1;
  }
  llama_free(context);
  llama_model_free(model);
  return 0;
}
