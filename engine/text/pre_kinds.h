#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

// One step of a pre-tokenizer: a regular expression in PCRE2's language.
struct PreStep {
  const char* pattern;
  bool threes = false;  // a match is cut into groups of three characters, counted from its end
};

// What the `pre` kind of a GGUF vocabulary stands for: how the original tokenizer of the models with that kind treats
// text before byte-level BPE.
struct PreKind {
  std::string_view names;  // separated by spaces
  std::vector<PreStep> steps;
  bool ignores_merges = false;  // a piece that is a token as it stands is one
  bool adds_bos = false;        // when the file does not say
  bool composes = false;        // text is brought to Unicode's form NFC first
};

std::span<const PreKind> pre_kinds();

// The kind of that name; an empty name is "default". nullptr: there is none.
const PreKind* find_pre_kind(std::string_view name);

// For an error message: the nearest known name, and all of them.
std::string known_pre_kinds(std::string_view name);

}  // namespace kvasir
