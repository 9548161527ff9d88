#include "engine/text/tokenizer.h"

#include "engine/text/bpe_tokenizer.h"
#include "engine/text/spm_tokenizer.h"

namespace kvasir {

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(VocabularyData vocabulary) {
  if (vocabulary.model == "gpt2") return load_bpe_tokenizer(std::move(vocabulary));
  if (vocabulary.model == "llama" || vocabulary.model == "gemma4") return load_spm_tokenizer(std::move(vocabulary));
  return error(ErrorCode::unsupported, "tokenizer model '" + vocabulary.model +
                                           "' is not supported; kvasir knows gpt2 (byte-level BPE), llama "
                                           "(SentencePiece's BPE) and gemma4");
}

std::string_view Tokenizer::bytes_after(std::optional<TokenId>, TokenId id) const { return bytes(id); }

}  // namespace kvasir
