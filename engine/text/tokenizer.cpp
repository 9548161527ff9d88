#include "engine/text/tokenizer.h"

#include "engine/text/bpe_tokenizer.h"

namespace kvasir {

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(VocabularyData vocabulary) {
  if (vocabulary.model == "gpt2") return load_bpe_tokenizer(std::move(vocabulary));
  return error(ErrorCode::unsupported,
               "tokenizer model '" + vocabulary.model + "' is not supported; kvasir knows gpt2 (byte-level BPE)");
}

}  // namespace kvasir
