// How far the CPU backend's distributions are from the reference backend's, for each way it keeps KV, and a peer's
// beside them. Reads JSON lines {"ids": [...], "peer_logits": "FILE of float32, (positions, vocabulary)"}, the latter
// only where there is a peer; writes one JSON line each: for each engine the mean over positions of KL(reference ||
// engine) and the mean negative log-likelihood of the ids after the first. bench/run accuracy drives it.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/cpu/cpu_backends.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/score.h"
#include "gateway/json/json.h"

namespace {

using namespace kvasir;

using Row = std::vector<float>;  // (vocabulary,)

template <class T>
T value_or_throw(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

std::vector<Row> logits_of(Scorer& scorer, const std::vector<TokenId>& ids) {
  std::vector<Row> rows;
  ScoreOptions options;
  options.each_row = [&](std::uint32_t, std::span<const float> row) { rows.emplace_back(row.begin(), row.end()); };
  value_or_throw(scorer.score(ids, options));
  return rows;
}

std::vector<Row> read_logits(const std::string& path, std::size_t positions, std::size_t vocabulary) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Row> rows(positions, Row(vocabulary));
  for (Row& row : rows)
    if (!file.read(reinterpret_cast<char*>(row.data()), static_cast<std::streamsize>(vocabulary * sizeof(float))))
      throw std::runtime_error(path + " has not " + std::to_string(positions) + " rows of logits");
  return rows;
}

// KL(p || q) of two rows of logits, in nats.
double divergence(const Row& p, const Row& q) {
  const double p_total = log_sum_exp(p), q_total = log_sum_exp(q);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double log_p = p[i] - p_total;
    sum += std::exp(log_p) * (log_p - (q[i] - q_total));
  }
  return sum;
}

double mean_divergence(const std::vector<Row>& p, const std::vector<Row>& q) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += divergence(p[i], q[i]);
  return sum / static_cast<double>(p.size());
}

// Of ids[1..], each by the row before it.
double mean_nll(const std::vector<Row>& rows, const std::vector<TokenId>& ids) {
  double sum = 0;
  for (std::size_t i = 1; i < ids.size(); ++i)
    sum += log_sum_exp(rows[i - 1]) - rows[i - 1][static_cast<std::size_t>(ids[i])];
  return sum / static_cast<double>(ids.size() - 1);
}

std::string figures(const char* engine, double kl, double nll) {
  char text[128];
  std::snprintf(text, sizeof text, ", \"%s\": {\"kl\": %.6g, \"nll\": %.8g}", engine, kl, nll);
  return text;
}

std::vector<TokenId> read_ids(const Value& line) {
  std::vector<TokenId> ids;
  for (const Value& id : *line.find("ids")->as_array()) ids.push_back(std::stoi(id.as_number()->text));
  return ids;
}

void run(const std::string& model) {
  const auto file = value_or_throw(GgufFile::open(model));
  const ModelConfig config = value_or_throw(read_model_config(*file));
  BackendOptions options;
  options.threads = 2;
  options.pool_bytes = 512u << 20;
  const auto reference = value_or_throw(make_reference_backend(*file, config, options));
  const auto f16 = value_or_throw(make_cpu_backend(*file, config, options));
  options.kv_type = "int8";
  const auto int8 = value_or_throw(make_cpu_backend(*file, config, options));
  Scorer reference_scorer(*reference), f16_scorer(*f16), int8_scorer(*int8);
  for (std::string text; std::getline(std::cin, text);) {
    const Value line = value_or_throw(parse_json(text));
    const std::vector<TokenId> ids = read_ids(line);
    if (ids.size() < 2) throw std::runtime_error("a line has fewer than two ids");
    const std::vector<Row> truth = logits_of(reference_scorer, ids);
    std::string out = figures("reference", 0, mean_nll(truth, ids));
    const auto add = [&](const char* engine, const std::vector<Row>& rows) {
      out += figures(engine, mean_divergence(truth, rows), mean_nll(rows, ids));
    };
    add("kvasir", logits_of(f16_scorer, ids));
    add("kvasir_int8", logits_of(int8_scorer, ids));
    if (const Value* peer = line.find("peer_logits"))
      add("peer", read_logits(*peer->as_string(), ids.size(), truth[0].size()));
    std::printf("{\"positions\": %zu%s}\n", ids.size(), out.c_str());
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"KL divergence of the CPU backend and of a peer from the reference backend", "divergence_bench"};
  std::string model;
  app.add_option("--model", model, "GGUF file")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    run(model);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "divergence_bench: %s\n", e.what());
    return 1;
  }
  return 0;
}
