#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace kvasir {

struct PreKind;

// Cuts text into the pieces inside which byte-level BPE merges: the `pre` kind of a GGUF vocabulary (pre_kinds.h). A
// kind is a list of regular expressions; each is applied to every piece the one before it left, its matches and the
// gaps between them are the next pieces. Bytes that are not UTF-8 are pieces of their own. Immutable; any thread may
// use it.
class PreTokenizer {
 public:
  // Errors: unsupported, with the nearest kind and all there are. An empty kind is "default".
  static Result<std::unique_ptr<PreTokenizer>> create(std::string_view kind);
  ~PreTokenizer();

  bool ignores_merges() const;  // a piece that is a token as it stands needs no merges to become it (Llama 3)
  bool adds_bos() const;        // when the file does not say
  bool composes() const;        // text is to be brought to NFC first

  // Pieces in order; together they are `text`. Linear.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  class Regex;
  explicit PreTokenizer(const PreKind& kind);
  const PreKind* kind_;
  std::vector<std::unique_ptr<Regex>> regexes_;
};

}  // namespace kvasir
