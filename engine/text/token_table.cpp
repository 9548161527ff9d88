#include "engine/text/token_table.h"

#include <algorithm>
#include <limits>

namespace kvasir {
namespace {

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
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<｜end▁of▁sentence｜>",
    "<|END_OF_TURN_TOKEN|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "</s>",
    "<eos>",
    "<|eot|>",
    "<end_of_utterance>",
    "<turn|>",
    "<|tool_response>",
    "[e~[",
};

// Of all tokens that are matched as whole texts: a bound for the memory that it takes to find them.
constexpr std::size_t kWholeBytesMax = 2u << 20;

// A user-defined token is ordinary text with an id of its own and is matched in any text, as the original tokenizers
// do; but what is written like a control token is taken for one, whatever its type says, lest a message could forge it.
bool looks_like_control(std::string_view text) {
  return (text.starts_with("<|") && text.ends_with("|>")) || (text.starts_with("<｜") && text.ends_with("｜>")) ||
         text == "<start_of_turn>" || text == "<end_of_turn>";
}

TokenType type_of(const VocabularyData& v, std::size_t i) {
  if (!v.types.empty()) return v.types[i];
  const auto id = static_cast<TokenId>(i);
  if (id == v.unknown) return TokenType::unknown;
  const bool special = id == v.bos || id == v.eos || id == v.eot || id == v.eom || id == v.padding;
  return special ? TokenType::control : TokenType::normal;
}

// Phi-3's tokens after which white space vanishes: all but the three of the original vocabulary's kind.
bool has_stripped_tail(std::string_view text) { return text != "<unk>" && text != "<s>" && text != "<|endoftext|>"; }

Status check(const VocabularyData& v) {
  const auto bad = [](const std::string& what) { return error(ErrorCode::invalid_argument, "vocabulary: " + what); };
  const auto mismatch = [&](std::size_t n, const char* what) {
    return bad(std::to_string(n) + " " + what + " for " + std::to_string(v.tokens.size()) + " tokens");
  };
  if (v.tokens.empty()) return bad("no tokens");
  if (v.tokens.size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max()) / 2)
    return bad("too many tokens");
  if (!v.types.empty() && v.types.size() != v.tokens.size()) return mismatch(v.types.size(), "token types");
  if (!v.scores.empty() && v.scores.size() != v.tokens.size()) return mismatch(v.scores.size(), "scores");
  if (v.merges.size() >= std::numeric_limits<std::uint32_t>::max()) return bad("too many merges");
  std::vector<std::optional<TokenId>> ids = {v.bos, v.eos, v.eot, v.eom, v.unknown, v.padding};
  ids.insert(ids.end(), v.ends.begin(), v.ends.end());
  for (const auto& id : ids)
    if (id && (*id < 0 || static_cast<std::size_t>(*id) >= v.tokens.size()))
      return bad("special token id " + std::to_string(*id) + " is outside of the vocabulary");
  return Ok{};
}

Status check_whole_tokens(const VocabularyData& v) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    const TokenType type = type_of(v, i);
    const bool ordinary = type == TokenType::normal || type == TokenType::unused || type == TokenType::byte;
    if (!ordinary && v.tokens[i].size() <= kMatchedBytesMax) bytes += v.tokens[i].size();
  }
  if (bytes <= kWholeBytesMax) return Ok{};
  return error(ErrorCode::invalid_argument, "vocabulary: control and user-defined tokens of " + std::to_string(bytes) +
                                                " bytes; at most " + std::to_string(kWholeBytesMax) + " are supported");
}

}  // namespace

Result<TokenTable> TokenTable::build(const VocabularyData& v, BytesOf bytes_of) {
  if (auto status = check(v); !status) return status.error();
  if (auto status = check_whole_tokens(v); !status) return status.error();
  TokenTable table(v.tokens.size());
  table.add_texts(v);
  table.add_kinds(v, bytes_of);
  table.add_ends(v);
  return table;
}

void TokenTable::add_texts(const VocabularyData& v) {
  std::size_t total = 0;
  for (const std::string& token : v.tokens) total += token.size();
  texts_.reserve(std::max(total, sizeof(std::string)));  // on the heap: the views stay good when the table moves
  text_ends_.reserve(v.tokens.size() + 1);
  text_ends_.push_back(0);
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    texts_ += v.tokens[i];
    text_ends_.push_back(texts_.size());
  }
  const std::string_view all = texts_;
  for (std::size_t i = 0; i < v.tokens.size(); ++i)
    index_.add(all.substr(text_ends_[i], text_ends_[i + 1] - text_ends_[i]), static_cast<TokenId>(i));
}

void TokenTable::add_kinds(const VocabularyData& v, BytesOf bytes_of) {
  kinds_.resize(v.tokens.size());
  byte_ends_.reserve(v.tokens.size() + 1);
  byte_ends_.push_back(0);
  const TokenId begin = find("<s>");
  const bool begin_is_control = begin != kNoToken && type_of(v, static_cast<std::size_t>(begin)) == TokenType::control;
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    const std::string& token = v.tokens[i];
    Kind& kind = kinds_[i];
    kind.type = type_of(v, i);
    kind.control = kind.type == TokenType::control || kind.type == TokenType::unknown;
    kind.whole = kind.control || kind.type == TokenType::user_defined;
    // Of Gemma both are user-defined: there they are HTML.
    if (token == "</s>" && begin_is_control) kind.control = kind.control || kind.whole;
    if (looks_like_control(token) && (kind.whole || std::count(std::begin(kEndTexts), std::end(kEndTexts), token)))
      kind.control = kind.whole = true;
    kind.strips_after = v.strip_after_specials && kind.whole && has_stripped_tail(token);
    bytes_ += kind.control ? token : bytes_of(token, kind.type);
    byte_ends_.push_back(bytes_.size());
    if (kind.whole && !token.empty() && token.size() <= kMatchedBytesMax)
      specials_.add(token, static_cast<TokenId>(i), kind.control);
  }
}

void TokenTable::add_ends(const VocabularyData& v) {
  std::vector<TokenId> ends = v.ends;
  for (const auto& id : {v.eos, v.eot, v.eom})
    if (id) ends.push_back(*id);
  for (const std::string_view text : kEndTexts)
    if (const TokenId id = find(text); id != kNoToken && is_control(id)) ends.push_back(id);
  for (const TokenId id : ends) kinds_[static_cast<std::size_t>(id)].end = true;
  // gpt-oss ends a message of several with <|end|>; what ends its turn are the others.
  const auto has = [this](std::string_view text) { return find(text) != kNoToken && is_end(find(text)); };
  const bool messages = (has("<|return|>") && has("<|call|>")) || (has("<|flush|>") && has("<|calls|>"));
  if (messages && has("<|end|>") && find("<|end|>") != v.eos)
    kinds_[static_cast<std::size_t>(find("<|end|>"))].end = false;
}

}  // namespace kvasir
