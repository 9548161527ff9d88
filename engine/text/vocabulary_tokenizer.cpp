#include "engine/text/vocabulary_tokenizer.h"

#include "engine/text/utf8.h"

namespace kvasir {

std::vector<VocabularyTokenizer::Run> VocabularyTokenizer::template_runs(const PromptText& prompt) {
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

std::vector<TokenId> VocabularyTokenizer::encode_with_specials(std::string_view text) const {
  return encode_runs(text, {Run{0, text.size()}});
}

std::vector<TokenId> VocabularyTokenizer::encode(const PromptText& prompt) const {
  return encode_runs(prompt.text(), template_runs(prompt));
}

std::optional<TokenId> VocabularyTokenizer::find(std::string_view token) const {
  const TokenId id = table_.find(token);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

std::string VocabularyTokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  std::optional<TokenId> before;
  for (const TokenId id : ids) {
    text += bytes_after(before, id);
    before = id;
  }
  return text;
}

std::vector<TokenId> VocabularyTokenizer::encode_runs(std::string_view text,
                                                      const std::vector<Run>& control_runs) const {
  std::vector<TokenId> ids;
  std::optional<TokenId> before;
  std::size_t plain = 0;  // where the text before the next special token begins
  std::size_t run = 0;
  for (std::size_t at = 0; at < text.size();) {
    while (run < control_runs.size() && control_runs[run].end <= at) ++run;
    const bool inside = run < control_runs.size() && control_runs[run].begin <= at;
    const std::size_t control_bytes = inside ? control_runs[run].end - at : 0;
    const SpecialTokens& specials = table_.specials();
    const auto match =
        specials.may_start(text[at]) ? specials.longest_at(text.substr(at), control_bytes) : std::nullopt;
    if (!match) {
      ++at;
      continue;
    }
    if (at != plain) encode_stretch(text.substr(plain, at - plain), before, ids);
    ids.push_back(match->id);
    before = match->id;
    at += match->length;
    if (table_.strips_after(match->id)) at += leading_spaces(text.substr(at));
    plain = at;
  }
  if (plain != text.size()) encode_stretch(text.substr(plain), before, ids);
  return ids;
}

}  // namespace kvasir
