#include "tests/parity/model/truth.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "gateway/json/json.h"
#include "tests/support/temp_dir.h"

namespace kvasir::parity {

namespace {

const Value& member(const Value& object, std::string_view key) {
  const Value* value = object.find(key);
  if (value == nullptr) throw std::runtime_error("the truth has no " + std::string(key));
  return *value;
}

double number(const Value& value) { return std::stod(value.as_number()->text); }

template <class T>
std::vector<T> numbers(const Value& array) {
  std::vector<T> out;
  for (const Value& value : *array.as_array()) out.push_back(static_cast<T>(number(value)));
  return out;
}

TruthRow read_row(const Value& json) {
  TruthRow row;
  row.name = *member(json, "name").as_string();
  row.prompt_ids = numbers<TokenId>(member(json, "prompt_ids"));
  row.mean_nll = number(member(json, "prompt_mean_nll"));
  row.greedy_ids = numbers<TokenId>(member(json, "greedy_ids"));
  row.greedy_margin = numbers<double>(member(json, "greedy_margin"));
  for (const Value& top : *member(json, "first_top20").as_array()) {
    const auto values = numbers<double>(top);  // id, log-probability, logit
    row.first_top.push_back({static_cast<TokenId>(values.at(0)), values.at(1)});
  }
  return row;
}

}  // namespace

std::vector<TruthRow> read_truth(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("no " + path);
  std::vector<TruthRow> rows;
  for (std::string line; std::getline(file, line);) {
    auto json = parse_json(line);
    if (!json) throw std::runtime_error(json.error().message);
    rows.push_back(read_row(*json));
  }
  return rows;
}

std::vector<TruthRow> load_truth(std::string& why) {
  const std::string path = testing::shared_data_dir() + "/logits/smollm2_q4_1_public.jsonl";
  if (!std::filesystem::exists(path)) why = "no " + path;
  if (testing::default_model_path().empty()) why = "the default model was not fetched";
  return why.empty() ? read_truth(path) : std::vector<TruthRow>{};
}

}  // namespace kvasir::parity
