#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace kvasir {

// Cuts text into the pieces inside which byte-level BPE merges: the `pre` kind of a GGUF vocabulary. A kind is a list
// of regular expressions; each is applied to every piece the one before it left, its matches and the gaps between them
// are the next pieces. Bytes that are not UTF-8 are pieces of their own. Immutable; any thread may use it.
class PreTokenizer {
 public:
  // Errors: unsupported, with the kinds there are.
  static Result<std::unique_ptr<PreTokenizer>> create(std::string_view kind);
  ~PreTokenizer();

  // A piece that is a token as it stands needs no merges to become it (Llama 3).
  bool ignores_merges() const { return ignores_merges_; }

  // Pieces in order; together they are `text`. Linear.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  class Regex;
  PreTokenizer() = default;
  std::vector<std::unique_ptr<Regex>> regexes_;
  bool ignores_merges_ = false;
};

}  // namespace kvasir
