#include "engine/text/spm_tokenizer.h"

#include <algorithm>
#include <array>

#include "engine/text/spm_symbols.h"
#include "engine/text/utf8.h"
#include "engine/text/vocabulary_tokenizer.h"

namespace kvasir {
namespace {

std::optional<unsigned char> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned char>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<unsigned char>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<unsigned char>(c - 'a' + 10);
  return std::nullopt;
}

// The byte that "<0x0A>" stands for.
std::optional<unsigned char> byte_of(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const auto high = hex_digit(text[3]), low = hex_digit(text[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<unsigned char>(*high << 4 | *low);
}

std::string bytes_of_token(std::string_view text, TokenType type) {
  if (type == TokenType::byte)
    if (const auto byte = byte_of(text)) return {static_cast<char>(*byte)};
  std::string bytes;
  for (std::size_t at = 0; at < text.size();) {
    const bool space = text.substr(at).starts_with(kSpaceSymbol);
    bytes += space ? ' ' : text[at];
    at += space ? kSpaceSymbol.size() : 1;
  }
  return bytes;
}

// What kinds of vocabulary do differently.
struct Rules {
  bool space_prefix;  // a text begins with a space, and so does text after a special token
  // Mistral's v2 and v3 have [INST] as a control token: there the space that their templates print after it is the
  // space prefix, and not one more.
  bool one_space_prefix;
  bool remove_extra_spaces;
  bool newlines_apart;  // runs of newlines are cut out first, and a run that is a token is one (Gemma 4)
};

class SpmTokenizer final : public VocabularyTokenizer {
 public:
  SpmTokenizer(const VocabularyData& v, TokenTable tokens, SpmSymbols symbols, Rules rules)
      : VocabularyTokenizer(v, std::move(tokens), true),
        symbols_(std::move(symbols)),
        rules_(rules),
        unknown_(v.unknown.value_or(kNoToken)) {
    byte_tokens_.fill(kNoToken);
    for (TokenId id = 0; unknown_ == kNoToken && id < static_cast<TokenId>(size()); ++id)
      if (table().type(id) == TokenType::unknown) unknown_ = id;
    for (TokenId id = static_cast<TokenId>(size()) - 1; id >= 0; --id)
      if (const auto byte = byte_of(table().text(id)); byte && table().type(id) == TokenType::byte)
        byte_tokens_[*byte] = id;
  }

  std::string_view bytes_after(std::optional<TokenId> before, TokenId id) const override;

 private:
  // One call's work: what is not yet encoded, and what is.
  struct Work {
    std::vector<TokenId>& out;
    std::vector<TokenId> symbols;  // of the piece that is being collected
    bool has_extra = false;        // one of them is no token
    // out.size() after the last unknown token, if there was one: unknown characters in a row make one token.
    std::size_t unknown_end = std::string::npos;
  };
  void encode_stretch(std::string_view text, std::optional<TokenId> before, std::vector<TokenId>& out) const override;
  std::string normalized(std::string_view text, std::optional<TokenId> before) const;
  void encode_newlines(std::string_view run, Work& work) const;
  void add_character(std::string_view character, Work& work) const;
  void finish_piece(Work& work) const;
  void add_unknown(std::string_view character, Work& work) const;

  SpmSymbols symbols_;
  Rules rules_;
  TokenId unknown_;
  std::array<TokenId, 256> byte_tokens_;
};

std::string_view SpmTokenizer::bytes_after(std::optional<TokenId> before, TokenId id) const {
  std::string_view all = bytes(id);
  const bool begins = !before || table().is_whole(*before);
  if (rules_.space_prefix && begins && !table().is_whole(id) && table().text(id).starts_with(kSpaceSymbol))
    all.remove_prefix(1);
  return all;
}

std::string SpmTokenizer::normalized(std::string_view text, std::optional<TokenId> before) const {
  if (rules_.remove_extra_spaces) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    while (text.ends_with(' ') || text.ends_with(kSpaceSymbol))
      text.remove_suffix(text.ends_with(' ') ? 1 : kSpaceSymbol.size());
    if (text.empty()) return {};
  }
  std::string all;
  all.reserve(text.size() + text.size() / 2 + kSpaceSymbol.size());
  const bool has_prefix = rules_.one_space_prefix && before && text.front() == ' ';
  if (rules_.space_prefix && !has_prefix) all += kSpaceSymbol;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (rules_.remove_extra_spaces && text[i] == ' ' && text[i - 1] == ' ') continue;
    if (text[i] == ' ') {
      all += kSpaceSymbol;
    } else {
      all += text[i];
    }
  }
  return all;
}

void SpmTokenizer::encode_stretch(std::string_view text, std::optional<TokenId> before,
                                  std::vector<TokenId>& out) const {
  const std::string all = normalized(text, before);
  Work work{out, {}};
  for (std::string_view rest = all; !rest.empty();) {
    if (rules_.newlines_apart && rest.front() == '\n') {
      const std::string_view run = rest.substr(0, rest.find_first_not_of('\n'));
      encode_newlines(run, work);
      rest.remove_prefix(run.size());
      continue;
    }
    const std::size_t length = std::max<std::size_t>(utf8_length(rest), 1);
    add_character(rest.substr(0, length), work);
    rest.remove_prefix(length);
  }
  finish_piece(work);
}

void SpmTokenizer::encode_newlines(std::string_view run, Work& work) const {
  finish_piece(work);
  if (const TokenId id = table().find_plain(run); id != kNoToken) {
    work.out.push_back(id);
    return;
  }
  for (std::size_t i = 0; i < run.size(); ++i) add_character(run.substr(i, 1), work);
  finish_piece(work);
}

void SpmTokenizer::add_character(std::string_view character, Work& work) const {
  const TokenId symbol = symbols_.of_character(character);
  if (symbol == kNoToken) {
    finish_piece(work);
    add_unknown(character, work);
    return;
  }
  if (character == kSpaceSymbol && !work.symbols.empty() && !symbols_.joins_space(work.symbols.back()))
    finish_piece(work);
  work.symbols.push_back(symbol);
  work.has_extra = work.has_extra || !symbols_.is_token(symbol);
}

void SpmTokenizer::finish_piece(Work& work) const {
  if (!work.has_extra) {
    symbols_.merges().merge_all(work.symbols, work.out);
  } else {
    std::vector<TokenId> merged;
    symbols_.merges().merge_all(work.symbols, merged);
    for (const TokenId id : merged) {
      if (symbols_.is_token(id)) {
        work.out.push_back(id);
      } else {
        add_unknown(symbols_.character(id), work);
      }
    }
  }
  work.symbols.clear();
  work.has_extra = false;
}

void SpmTokenizer::add_unknown(std::string_view character, Work& work) const {
  const auto token_of = [this](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
  if (std::all_of(character.begin(), character.end(), [&](char c) { return token_of(c) != kNoToken; })) {
    for (const char c : character) work.out.push_back(token_of(c));
  } else if (unknown_ != kNoToken && work.unknown_end != work.out.size()) {
    work.out.push_back(unknown_);
    work.unknown_end = work.out.size();
  }
}

bool has_control(const TokenTable& table, std::string_view text) {
  const TokenId id = table.find(text);
  return id != kNoToken && table.is_control(id);
}

// A file without token types: the byte tokens are known by their texts.
void complete_types(VocabularyData& v) {
  if (!v.types.empty()) return;
  for (const std::string& token : v.tokens) v.types.push_back(byte_of(token) ? TokenType::byte : TokenType::normal);
  const auto set = [&](std::optional<TokenId> id, TokenType type) {
    if (id && static_cast<std::size_t>(*id) < v.types.size()) v.types[static_cast<std::size_t>(*id)] = type;
  };
  for (const auto& id : {v.bos, v.eos, v.eot, v.eom, v.padding}) set(id, TokenType::control);
  set(v.unknown, TokenType::unknown);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_spm_tokenizer(VocabularyData v) {
  complete_types(v);
  auto table = TokenTable::build(v, bytes_of_token);
  if (!table) return table.error();
  const bool listed = v.model == "gemma4";
  auto symbols = listed ? SpmSymbols::by_list(*table, v.merges) : SpmSymbols::by_scores(*table, v.scores);
  if (!symbols) return symbols.error();
  const Rules rules{v.add_space_prefix.value_or(!listed), has_control(*table, "[INST]"), v.remove_extra_spaces, listed};
  return std::unique_ptr<Tokenizer>(std::make_unique<SpmTokenizer>(v, std::move(*table), std::move(*symbols), rules));
}

}  // namespace kvasir
