#include "engine/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "engine/text/pre_kinds.h"
#include "engine/text/utf8.h"

namespace kvasir {
namespace {

// Characters of valid UTF-8.
std::size_t count_characters(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

void cut_in_threes(std::string_view run, std::vector<std::string_view>& out) {
  for (std::size_t left = count_characters(run); left != 0;) {
    const std::size_t take = left % 3 == 0 ? 3 : left % 3;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < take; ++i) bytes += utf8_length(run.substr(bytes));
    out.push_back(run.substr(0, bytes));
    run.remove_prefix(bytes);
    left -= take;
  }
}

}  // namespace

// One compiled expression. Matching never fails: the patterns are ours and need no backtracking memory to speak of, and
// PCRE2's limits are as high as they go.
class PreTokenizer::Regex {
 public:
  explicit Regex(const PreStep& step) : threes_(step.threes), context_(pcre2_match_context_create(nullptr)) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(step.pattern), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                          &code, &offset, nullptr);
    KVASIR_ASSERT(code_ != nullptr);               // the patterns are ours
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);  // without JIT it is only slower
    KVASIR_ASSERT(context_ != nullptr);
    pcre2_set_match_limit(context_, 0xFFFFFFFF);
    pcre2_set_depth_limit(context_, 0xFFFFFFFF);
  }
  ~Regex() {
    pcre2_match_context_free(context_);
    pcre2_code_free(code_);
  }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // Appends the matches in `piece`, which is valid UTF-8, and the gaps between them.
  void split(std::string_view piece, pcre2_match_data* match, std::vector<std::string_view>& out) const {
    const auto subject = reinterpret_cast<PCRE2_SPTR>(piece.data());
    std::size_t done = 0;
    while (done < piece.size()) {
      // The check for UTF-8 would read the whole rest of the text at each match.
      const int found =
          pcre2_match(code_, subject, piece.size(), done, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match, context_);
      if (found == PCRE2_ERROR_NOMATCH) break;
      KVASIR_ASSERT(found > 0);  // wrong pieces would be wrong tokens
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
      if (range[0] > done) out.push_back(piece.substr(done, range[0] - done));
      const std::string_view whole = piece.substr(range[0], range[1] - range[0]);
      if (threes_) {
        cut_in_threes(whole, out);
      } else {
        out.push_back(whole);
      }
      done = range[1];
    }
    if (done < piece.size()) out.push_back(piece.substr(done));
  }

 private:
  bool threes_;
  pcre2_code* code_;
  pcre2_match_context* context_;
};

Result<std::unique_ptr<PreTokenizer>> PreTokenizer::create(std::string_view name) {
  const PreKind* kind = find_pre_kind(name);
  if (kind == nullptr)
    return error(ErrorCode::unsupported, "pre-tokenizer '" + std::string(name) + "' (tokenizer.ggml.pre) is not " +
                                             "supported by kvasir; " + known_pre_kinds(name));
  return std::unique_ptr<PreTokenizer>(new PreTokenizer(*kind));
}

PreTokenizer::PreTokenizer(const PreKind& kind) : kind_(&kind) {
  for (const PreStep& step : kind.steps) regexes_.push_back(std::make_unique<Regex>(step));
}

PreTokenizer::~PreTokenizer() = default;

bool PreTokenizer::ignores_merges() const { return kind_->ignores_merges; }
bool PreTokenizer::adds_bos() const { return kind_->adds_bos; }
bool PreTokenizer::composes() const { return kind_->composes; }

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
