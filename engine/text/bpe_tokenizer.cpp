#include "engine/text/bpe_tokenizer.h"

#include <array>

#include "engine/text/bpe.h"
#include "engine/text/byte_level.h"
#include "engine/text/nfc.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/utf8.h"
#include "engine/text/vocabulary_tokenizer.h"

namespace kvasir {
namespace {

std::string bytes_of_token(std::string_view text, TokenType type) {
  return type == TokenType::user_defined ? std::string(text) : bytes_of_printable(text);
}

class BpeTokenizer final : public VocabularyTokenizer {
 public:
  BpeTokenizer(const VocabularyData& v, TokenTable table, std::unique_ptr<PreTokenizer> pre)
      : VocabularyTokenizer(v, std::move(table), pre->adds_bos()), pre_(std::move(pre)), merges_(v.merges.size()) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      std::string printable;
      utf8_append(printable, printable_of_byte(static_cast<unsigned char>(byte)));
      byte_tokens_[byte] = this->table().find_plain(printable);
    }
  }
  Status add_merges(const std::vector<std::string>& merges);

 private:
  void encode_stretch(std::string_view text, std::optional<TokenId> before, std::vector<TokenId>& out) const override;
  void encode_piece(std::string_view piece, std::vector<TokenId>& symbols, std::vector<TokenId>& out) const;

  std::unique_ptr<PreTokenizer> pre_;
  MergeTable merges_;
  std::array<TokenId, 256> byte_tokens_{};  // kNoToken: the byte vanishes
};

Status BpeTokenizer::add_merges(const std::vector<std::string>& merges) {
  const TokenIndex& index = table().index();
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view merge = merges[rank];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string::npos)
      return error(ErrorCode::invalid_argument, "vocabulary: merge " + std::to_string(rank) + " is not two tokens");
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    const TextHash left_hash = TextHash::of(left), right_hash = TextHash::of(right);
    const TokenId left_id = table().plain(index.find(left_hash, left, {}));
    const TokenId right_id = table().plain(index.find(right_hash, right, {}));
    const TokenId merged = table().plain(index.find(left_hash.then(right_hash), left, right));
    if (left_id != kNoToken && right_id != kNoToken && merged != kNoToken)
      merges_.add(left_id, right_id, {static_cast<std::uint32_t>(rank), merged});
  }
  return Ok{};
}

void BpeTokenizer::encode_stretch(std::string_view text, std::optional<TokenId>, std::vector<TokenId>& out) const {
  std::string composed;
  if (pre_->composes() && !is_nfc_quick(text)) {
    composed = to_nfc(text);
    text = composed;
  }
  std::vector<TokenId> symbols;
  for (const std::string_view piece : pre_->split(text)) encode_piece(piece, symbols, out);
}

void BpeTokenizer::encode_piece(std::string_view piece, std::vector<TokenId>& symbols,
                                std::vector<TokenId>& out) const {
  if (pre_->ignores_merges())
    if (const TokenId id = table().find_plain(printable_of_bytes(piece)); id != kNoToken) {
      out.push_back(id);
      return;
    }
  symbols.clear();
  for (const char c : piece)
    if (const TokenId id = byte_tokens_[static_cast<unsigned char>(c)]; id != kNoToken) symbols.push_back(id);
  merges_.merge_all(symbols, out);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_bpe_tokenizer(VocabularyData v) {
  auto pre = PreTokenizer::create(v.pre);
  if (!pre) return pre.error();
  auto table = TokenTable::build(v, bytes_of_token);
  if (!table) return table.error();
  auto tokenizer = std::make_unique<BpeTokenizer>(v, std::move(*table), std::move(*pre));
  if (auto status = tokenizer->add_merges(v.merges); !status) return status.error();
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace kvasir
