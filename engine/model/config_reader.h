#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/gguf.h"

namespace kvasir {

// Reads the keys of one architecture ("llama.block_count" is "block_count" here), keeps the errors and remembers
// which keys somebody has looked at, so that no other can change what the model computes. For one thread, at load.
class ConfigReader {
 public:
  ConfigReader(const GgufFile& file, const std::string& architecture) : file_(file), prefix_(architecture + ".") {}

  // Whole numbers from 1 to `max`. Without `otherwise` a missing key is an error, as is one whose value is out of range
  // or of another type; 0 is returned then.
  std::uint32_t number(std::string_view name, std::uint64_t max, std::optional<std::uint64_t> otherwise = {});
  // Finite numbers above 0; 1 after an error.
  float real(std::string_view name, std::optional<double> otherwise = {});
  // As real(), but 0 is a value too, and what a missing key means.
  float real_or_zero(std::string_view name);
  bool flag(std::string_view name, bool otherwise);
  std::optional<std::vector<bool>> flags(std::string_view name);  // nothing unless it is an array of flags
  std::optional<std::string_view> text(std::string_view name);    // an error when it is there and no text

  bool is_set(std::string_view name);  // there, with a value that means something (as in refuse_unread)
  bool has(std::string_view name) const { return file_.meta(prefix_ + std::string(name)) != nullptr; }
  void ignore(std::string_view name) { known_.insert(prefix_ + std::string(name)); }
  // A key of the architecture that nobody read is an error, unless its value means nothing: 0, false, empty; 1 for a
  // scale or factor.
  void refuse_unread();

  std::uint32_t fail(ErrorCode code, std::string_view name, const std::string& what);
  bool failed() const { return !errors_.empty(); }
  const std::vector<Error>& errors() const { return errors_; }
  const GgufFile& file() const { return file_; }

 private:
  std::string known(std::string_view name);  // the whole key, which is known from now on

  const GgufFile& file_;
  const std::string prefix_;
  std::set<std::string, std::less<>> known_;
  std::vector<Error> errors_;
  std::set<std::string, std::less<>> failed_keys_;  // one error for each
};

}  // namespace kvasir
