#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/prompt_text.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"

namespace kvasir {

// GGUF `tokenizer.ggml.token_type`.
enum class TokenType : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

// What a GGUF file says about its tokenizer (tokenizer.ggml.*), copied out of the mapping.
struct VocabularyData {
  std::string model;                // "gpt2": byte-level BPE; "llama": SentencePiece's BPE; "gemma4": both
  std::string pre;                  // pre-tokenizer kind: "smollm", "gpt-2", ...
  std::vector<std::string> tokens;  // by id; byte-level BPE tokens in their printable form
  std::vector<TokenType> types;     // by id, or empty (all normal)
  std::vector<std::string> merges;  // "left right", best first
  std::optional<TokenId> bos, eos, eot, eom, unknown, padding;
  std::vector<TokenId> ends;                               // more tokens that end generation
  std::vector<float> scores;                               // by id, or empty; "llama": higher merges first
  std::optional<bool> add_bos, add_eos, add_space_prefix;  // absent: what the model (and pre) kind does
  bool remove_extra_spaces = false;
  bool strip_after_specials = false;  // Phi-3: white space after most special tokens vanishes
};

// Text to token ids and back. Immutable after load: any thread may use it. Encoding is linear in the text (up to a
// logarithm), whatever the text.
class Tokenizer {
 public:
  // Errors: unsupported (names the model or pre kind and what kvasir knows), invalid_argument (broken vocabulary).
  static Result<std::unique_ptr<Tokenizer>> load(VocabularyData vocabulary);
  virtual ~Tokenizer() = default;

  // All of `text` as plain text; special-token text in it stays text. No BOS. User-defined tokens that are not written
  // like control tokens ("<|x|>") are part of plain text, as in the original tokenizers.
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;
  // Special tokens written in `text` become control tokens. No BOS.
  virtual std::vector<TokenId> encode_with_specials(std::string_view text) const = 0;
  // Special tokens only where their whole text lies in template segments; the pieces between are encoded as the
  // continuous text that they are.
  virtual std::vector<TokenId> encode(const PromptText& prompt) const = 0;

  // For all that take an id, REQUIRES: 0 <= id < size().
  // Bytes of one token (may be part of a UTF-8 character). Control tokens give their text.
  virtual std::string_view bytes(TokenId id) const = 0;
  // What `id` adds to a text that ends with the token `before`; none: to an empty text. That is bytes(), but without
  // the space that encode() puts there, where the kind of vocabulary wants one (SentencePiece's add_dummy_prefix).
  virtual std::string_view bytes_after(std::optional<TokenId> before, TokenId id) const;
  virtual std::string decode(std::span<const TokenId> ids) const = 0;  // all bytes_after() in a row
  virtual bool is_control(TokenId id) const = 0;                       // never part of a text: also the unknown token
  virtual bool is_end_of_generation(TokenId id) const = 0;             // EOS, EOT and their relatives
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  virtual std::optional<TokenId> find(std::string_view token) const = 0;  // a token by its printable form
  // For raw text prompts (/v1/completions); chat templates print their own. An EOS is never added: a prompt goes on.
  virtual bool add_bos() const = 0;
  virtual std::uint32_t size() const = 0;
};

}  // namespace kvasir
