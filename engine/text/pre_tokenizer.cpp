#include "engine/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "engine/text/utf8.h"

namespace kvasir {
namespace {

// White_Space of Unicode. PCRE2's own \s has U+180E too, which tokenizers' regular expressions do not.
#define SPACE "\\t-\\r\\x{85}\\p{Z}"
#define LLAMA3(DIGITS)                                                                                                 \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" DIGITS "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*|[" SPACE \
  "]*[\\r\\n]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

constexpr const char* kGpt2 =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";
constexpr const char* kDigit = "\\p{N}";

struct Kind {
  std::string_view name;
  std::vector<const char*> regexes;
  bool ignores_merges = false;
};

// One row a kind, checked against the original tokenizers' output (tests/parity/text).
const std::vector<Kind>& kinds() {
  static const std::vector<Kind> rows = {
      {"default", {kGpt2}},
      {"gpt-2", {kGpt2}},
      {"smollm", {kDigit, kGpt2}},
      {"llama-bpe", {LLAMA3("\\p{N}{1,3}")}, true},
      {"qwen2", {LLAMA3("\\p{N}")}},
      {"deepseek-coder",
       {"[\\r\\n]", "[" SPACE "]?\\p{L}+", "[" SPACE "]?\\p{P}+",
        "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+", kDigit}},
  };
  return rows;
}

#undef SPACE
#undef LLAMA3

std::string known_kinds() {
  std::string names;
  for (const Kind& kind : kinds()) names += (names.empty() ? "" : ", ") + std::string(kind.name);
  return names;
}

}  // namespace

// One compiled expression.
class PreTokenizer::Regex {
 public:
  explicit Regex(const char* pattern) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code,
                          &offset, nullptr);
    KVASIR_ASSERT(code_ != nullptr);               // the patterns are ours
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);  // without JIT it is only slower
  }
  ~Regex() { pcre2_code_free(code_); }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // Appends the matches in `piece`, which is valid UTF-8, and the gaps between them.
  void split(std::string_view piece, pcre2_match_data* match, std::vector<std::string_view>& out) const {
    const auto subject = reinterpret_cast<PCRE2_SPTR>(piece.data());
    std::size_t done = 0;
    while (done < piece.size()) {
      // The check for UTF-8 would read the whole rest of the text at each match.
      const int found =
          pcre2_match(code_, subject, piece.size(), done, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match, nullptr);
      if (found <= 0) break;  // no match; a resource limit of PCRE2 leaves the rest in one piece
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
      if (range[0] > done) out.push_back(piece.substr(done, range[0] - done));
      out.push_back(piece.substr(range[0], range[1] - range[0]));
      done = range[1];
    }
    if (done < piece.size()) out.push_back(piece.substr(done));
  }

 private:
  pcre2_code* code_;
};

Result<std::unique_ptr<PreTokenizer>> PreTokenizer::create(std::string_view name) {
  for (const Kind& kind : kinds()) {
    if (kind.name != (name.empty() ? "default" : name)) continue;
    std::unique_ptr<PreTokenizer> pre(new PreTokenizer);
    for (const char* pattern : kind.regexes) pre->regexes_.push_back(std::make_unique<Regex>(pattern));
    pre->ignores_merges_ = kind.ignores_merges;
    return pre;
  }
  return error(ErrorCode::unsupported,
               "pre-tokenizer '" + std::string(name) + "' is not supported; kvasir knows " + known_kinds());
}

PreTokenizer::~PreTokenizer() = default;

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  std::vector<std::string_view> current;
  std::vector<std::string_view> next;
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(pcre2_match_data_create(1, nullptr),
                                                                             pcre2_match_data_free);
  while (!text.empty()) {
    std::size_t valid = 0;
    while (const std::size_t length = utf8_length(text.substr(valid))) valid += length;
    current.clear();
    if (valid != 0) current.push_back(text.substr(0, valid));
    for (const auto& regex : regexes_) {
      next.clear();
      for (const std::string_view piece : current) regex->split(piece, match.get(), next);
      current.swap(next);
    }
    pieces.insert(pieces.end(), current.begin(), current.end());
    if (valid < text.size()) pieces.push_back(text.substr(valid++, 1));
    text.remove_prefix(valid);
  }
  return pieces;
}

}  // namespace kvasir
