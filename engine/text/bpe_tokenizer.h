#pragma once

#include <memory>

#include "engine/text/tokenizer.h"

namespace kvasir {

// Byte-level BPE: GGUF tokenizer model "gpt2". Errors as Tokenizer::load().
Result<std::unique_ptr<Tokenizer>> load_bpe_tokenizer(VocabularyData vocabulary);

}  // namespace kvasir
