#pragma once

#include <memory>

#include "engine/text/tokenizer.h"

namespace kvasir {

// BPE over UTF-8 characters as SentencePiece does it, with U+2581 for spaces and bytes for unknown characters: GGUF
// tokenizer models "llama" (the merge with the highest score of its result first) and "gemma4" (a list of merges).
// Errors as Tokenizer::load().
Result<std::unique_ptr<Tokenizer>> load_spm_tokenizer(VocabularyData vocabulary);

}  // namespace kvasir
