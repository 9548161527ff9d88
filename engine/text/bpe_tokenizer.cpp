#include "engine/text/bpe_tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

#include "engine/text/bpe.h"
#include "engine/text/byte_level.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/special_tokens.h"
#include "engine/text/utf8.h"

namespace kvasir {
namespace {

constexpr TokenId kNoToken = -1;

// Tokens by which models of all families end their turn, whatever the metadata call them.
constexpr std::string_view kEndTexts[] = {
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "<|EOT|>",
    "<EOT>",
    "<｜end▁of▁sentence｜>",
    "<|END_OF_TURN_TOKEN|>",
    "<|return|>",
    "<|call|>",
    "</s>",
    "<eos>",
    "<|eot|>",
    "<turn|>",
};

// A user-defined token is ordinary text with an id of its own and is matched in any text, as the original tokenizers
// do; but what is written like a control token is taken for one, whatever its type says, lest a message could forge it.
bool looks_like_control(std::string_view text) {
  return (text.starts_with("<|") && text.ends_with("|>")) || (text.starts_with("<｜") && text.ends_with("｜>"));
}

// A run of text in which control tokens may stand.
struct Run {
  std::size_t begin, end;
};

std::vector<Run> template_runs(const PromptText& prompt) {
  std::vector<Run> runs;
  std::size_t at = 0;
  for (const TextSegment& segment : prompt.segments) {
    const Run run{at, at + segment.text.size()};
    at = run.end;
    if (!segment.from_template) continue;
    if (!runs.empty() && runs.back().end == run.begin) {
      runs.back().end = run.end;
    } else {
      runs.push_back(run);
    }
  }
  return runs;
}

class BpeTokenizer final : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> load(VocabularyData vocabulary);

  std::vector<TokenId> encode(std::string_view text) const override { return encode_runs(text, {}); }
  std::vector<TokenId> encode_with_specials(std::string_view text) const override {
    return encode_runs(text, {Run{0, text.size()}});
  }
  std::vector<TokenId> encode(const PromptText& prompt) const override {
    return encode_runs(prompt.text(), template_runs(prompt));
  }

  std::string_view bytes(TokenId id) const override {
    const auto i = static_cast<std::size_t>(id);
    KVASIR_ASSERT(id >= 0 && i < kinds_.size());
    return std::string_view(arena_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
  }
  std::string decode(std::span<const TokenId> ids) const override {
    std::string text;
    for (const TokenId id : ids) text += bytes(id);
    return text;
  }
  bool is_control(TokenId id) const override { return kind(id).control; }
  bool is_end_of_generation(TokenId id) const override { return kind(id).end; }
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  std::optional<TokenId> find(std::string_view token) const override {
    const auto it = ids_.find(std::string(token));
    return it == ids_.end() ? std::nullopt : std::optional(it->second);
  }
  bool add_bos() const override { return add_bos_; }
  std::uint32_t size() const override { return static_cast<std::uint32_t>(kinds_.size()); }

 private:
  struct TokenKind {
    bool control = false;
    bool end = false;
  };

  BpeTokenizer(const VocabularyData& v, std::unique_ptr<PreTokenizer> pre)
      : bos_(v.bos), eos_(v.eos), add_bos_(v.add_bos.value_or(false)), pre_(std::move(pre)), merges_(v.merges.size()) {}

  // A token that plain text may become: never a control token, also where a vocabulary has merges that lead to one.
  std::optional<TokenId> find_text(std::string_view printable) const {
    const auto id = find(printable);
    return id && !is_control(*id) ? id : std::nullopt;
  }
  const TokenKind& kind(TokenId id) const {
    KVASIR_ASSERT(id >= 0 && static_cast<std::size_t>(id) < kinds_.size());
    return kinds_[static_cast<std::size_t>(id)];
  }
  void add_tokens(const VocabularyData& v);
  void add_ends(const VocabularyData& v);
  Status add_merges(const VocabularyData& v);

  std::vector<TokenId> encode_runs(std::string_view text, std::vector<Run> control_runs) const;
  void encode_plain(std::string_view text, std::vector<TokenId>& out) const;
  void encode_piece(std::string_view piece, std::vector<TokenId>& symbols, std::vector<TokenId>& out) const;

  std::optional<TokenId> bos_, eos_;
  bool add_bos_;
  std::unique_ptr<PreTokenizer> pre_;
  MergeTable merges_;
  SpecialTokens specials_;
  std::array<TokenId, 256> byte_tokens_{};        // kNoToken: the byte vanishes
  std::unordered_map<std::string, TokenId> ids_;  // by printable form
  std::vector<TokenKind> kinds_;                  // by id
  std::string arena_;                             // bytes of all tokens, one after another
  std::vector<std::size_t> offsets_;              // (size + 1) into arena_
};

Status check(const VocabularyData& v) {
  const auto bad = [](const std::string& what) { return error(ErrorCode::invalid_argument, "vocabulary: " + what); };
  if (v.tokens.empty()) return bad("no tokens");
  if (v.tokens.size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max())) return bad("too many tokens");
  if (!v.types.empty() && v.types.size() != v.tokens.size())
    return bad(std::to_string(v.types.size()) + " token types for " + std::to_string(v.tokens.size()) + " tokens");
  if (v.merges.size() >= std::numeric_limits<std::uint32_t>::max()) return bad("too many merges");
  for (const auto& id : {v.bos, v.eos, v.eot, v.unknown, v.padding})
    if (id && (*id < 0 || static_cast<std::size_t>(*id) >= v.tokens.size()))
      return bad("special token id " + std::to_string(*id) + " is outside of the vocabulary");
  return Ok{};
}

Result<std::unique_ptr<Tokenizer>> BpeTokenizer::load(VocabularyData v) {
  if (auto status = check(v); !status) return status.error();
  auto pre = PreTokenizer::create(v.pre);
  if (!pre) return pre.error();
  std::unique_ptr<BpeTokenizer> tokenizer(new BpeTokenizer(v, std::move(*pre)));
  tokenizer->add_tokens(v);
  tokenizer->add_ends(v);
  if (auto status = tokenizer->add_merges(v); !status) return status.error();
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

void BpeTokenizer::add_tokens(const VocabularyData& v) {
  kinds_.resize(v.tokens.size());
  offsets_.push_back(0);
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    const std::string& token = v.tokens[i];
    const TokenType type = v.types.empty() ? TokenType::normal : v.types[i];
    const auto id = static_cast<TokenId>(i);
    const bool whole = type == TokenType::control || type == TokenType::user_defined;
    kinds_[i].control = type == TokenType::control || (whole && looks_like_control(token));
    ids_.try_emplace(token, id);
    arena_ += whole ? token : bytes_of_printable(token);
    offsets_.push_back(arena_.size());
    if (whole && !token.empty()) specials_.add(token, id, kinds_[i].control);
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string printable;
    utf8_append(printable, printable_of_byte(static_cast<unsigned char>(byte)));
    byte_tokens_[byte] = find_text(printable).value_or(kNoToken);
  }
}

void BpeTokenizer::add_ends(const VocabularyData& v) {
  for (const auto& id : {v.eos, v.eot})
    if (id) kinds_[static_cast<std::size_t>(*id)].end = true;
  for (const std::string_view text : kEndTexts)
    if (const auto id = find(text); id && is_control(*id)) kinds_[static_cast<std::size_t>(*id)].end = true;
}

Status BpeTokenizer::add_merges(const VocabularyData& v) {
  for (std::size_t rank = 0; rank < v.merges.size(); ++rank) {
    const std::string& merge = v.merges[rank];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string::npos)
      return error(ErrorCode::invalid_argument, "vocabulary: merge " + std::to_string(rank) + " is not two tokens");
    const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    const auto left_id = find_text(left), right_id = find_text(right), merged = find_text(left + right);
    if (left_id && right_id && merged) merges_.add(*left_id, *right_id, {static_cast<std::uint32_t>(rank), *merged});
  }
  return Ok{};
}

std::vector<TokenId> BpeTokenizer::encode_runs(std::string_view text, std::vector<Run> control_runs) const {
  std::vector<TokenId> ids;
  std::size_t plain = 0;  // where the text before the next special token begins
  std::size_t run = 0;
  for (std::size_t at = 0; at < text.size();) {
    while (run < control_runs.size() && control_runs[run].end <= at) ++run;
    const bool inside = run < control_runs.size() && control_runs[run].begin <= at;
    const std::size_t control_bytes = inside ? control_runs[run].end - at : 0;
    const auto match =
        specials_.may_start(text[at]) ? specials_.longest_at(text.substr(at), control_bytes) : std::nullopt;
    if (!match) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain, at - plain), ids);
    ids.push_back(match->id);
    at += match->length;
    plain = at;
  }
  encode_plain(text.substr(plain), ids);
  return ids;
}

void BpeTokenizer::encode_plain(std::string_view text, std::vector<TokenId>& out) const {
  std::vector<TokenId> symbols;
  for (const std::string_view piece : pre_->split(text)) encode_piece(piece, symbols, out);
}

void BpeTokenizer::encode_piece(std::string_view piece, std::vector<TokenId>& symbols,
                                std::vector<TokenId>& out) const {
  if (pre_->ignores_merges())
    if (const auto id = find_text(printable_of_bytes(piece))) {
      out.push_back(*id);
      return;
    }
  symbols.clear();
  for (const char c : piece)
    if (const TokenId id = byte_tokens_[static_cast<unsigned char>(c)]; id != kNoToken) symbols.push_back(id);
  merges_.merge_all(symbols, out);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_bpe_tokenizer(VocabularyData vocabulary) {
  return BpeTokenizer::load(std::move(vocabulary));
}

}  // namespace kvasir
