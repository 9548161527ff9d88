#include "engine/text/pre_kinds.h"

#include <algorithm>
#include <numeric>

namespace kvasir {
namespace {

// White_Space of Unicode. PCRE2's own \s has U+180E too, which tokenizers' regular expressions do not.
#define S "\\t-\\r\\x{85}\\p{Z}"
// English contractions; CONTRACTIONS without regard to case.
#define SHORT "'s|'t|'re|'ve|'m|'ll|'d"
#define CONTRACTIONS "(?i:" SHORT ")"
#define SPACES "[" S "]+(?![^" S "])|[" S "]+"
#define BREAKS "[" S "]*[\\r\\n]+"
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SYMBOLS " ?[^" S "\\p{L}\\p{N}]+"
#define NUMBERS "\\p{N}{1,3}"
// From GPT-4 on: DIGITS says how many digits make a piece.
#define GPT4(DIGITS) CONTRACTIONS "|" WORD "|" DIGITS "|" SYMBOLS "[\\r\\n]*|" BREAKS "|" SPACES
// From GPT-4o on: words are cut before a capital letter. UPPER and LOWER both have the letters without case; they are
// written as what they are not, so that NOT can take away more.
#define UPPER(NOT) "[^\\p{Ll}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}" NOT "]"
#define LOWER(NOT) "[^\\p{Lu}\\p{Lt}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}" NOT "]"
#define CASED(NOT, TAIL)                                      \
  "[^\\r\\n\\p{L}\\p{N}]?" UPPER(NOT) "*" LOWER(NOT) "+" TAIL \
                                                     "|[^\\r\\n\\p{L}\\p{N}]?" UPPER(NOT) "+" LOWER(NOT) "*" TAIL
#define GPT4O(TAIL, DIGITS) CASED("", TAIL) "|" DIGITS "|" SYMBOLS "[\\r\\n/]*|" BREAKS "|" SPACES
// Words of letters and marks, symbols apart from punctuation: DeepSeek from version 3 on.
#define ASCII_SYMBOL "[!-/:-@\\[-`{-~]"
#define DEEPSEEK3 \
  ASCII_SYMBOL "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" BREAKS "|" SPACES
#define CHINESE_JAPANESE "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+"
#define CHINESE_KOREAN "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
// The letters that DeepSeek LLM lists: Latin, Greek, Cyrillic, Armenian, Georgian, Cherokee, Adlam and their like.
#define DEEPSEEK_LETTERS                                                                                               \
  "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}"     \
  "\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}"       \
  "\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}"         \
  "\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}" \
  "\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}"  \
  "\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}"  \
  "\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"  \
  "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}"   \
  "\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}"   \
  "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}"  \
  "\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}" \
  "\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"          \
  "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"

constexpr PreStep kGpt2 = {SHORT "| ?\\p{L}+| ?\\p{N}+|" SYMBOLS "|" SPACES};
constexpr PreStep kDigit = {"\\p{N}"};
constexpr PreStep kDigits = {"\\p{N}+"};
constexpr PreStep kNumbers = {NUMBERS};
constexpr PreStep kLlama3 = {GPT4(NUMBERS)};
constexpr PreStep kQwen2 = {GPT4("\\p{N}")};
constexpr PreStep kGpt4o = {GPT4O(CONTRACTIONS "?", NUMBERS)};
constexpr PreStep kDeepseek3 = {DEEPSEEK3};
constexpr PreStep kChineseJapanese = {CHINESE_JAPANESE};
constexpr PreStep kPunctuation = {"[\\p{P}$+<=>^~|`]+"};
constexpr PreStep kAsciiThrees = {"[0-9][0-9][0-9]"};
constexpr PreStep kBloom = {" ?[^(" S "|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"};
// The original's expression looks ahead at each group over all the digits that follow, to the end of a word as
// Oniguruma understands it; this one is linear.
constexpr PreStep kThreesOfWord = {
    "(?<!\\p{Nd})\\p{Nd}++(?![\\p{L}\\p{M}\\p{Nl}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\x{24B6}-\\x{24E9}])",
    true};

}  // namespace

std::span<const PreKind> pre_kinds() {
  static const std::vector<PreKind> rows = {
      // Files of before there was a kind: what llama.cpp does with them.
      {"default", {{"[\\p{P}$+<=>^~|]+"}, kGpt2, kDigits, kAsciiThrees}},
      {"gpt-2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code roberta-bpe gigachat a.x-4.0 mellum "
       "modern-bert jais trillion granite-docling exaone4",
       {kGpt2}},
      {"olmo mpt", {kGpt2}, false, false, true},
      {"smollm starcoder refact codeshell exaone minerva-7b mellum2", {kDigit, kGpt2}},
      {"command-r", {kDigit, kGpt2}, false, false, true},
      {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", {kLlama3}, true, true},
      {"dbrx smaug-bpe chatglm-bpe", {kLlama3}},
      {"glm4 glm5", {kLlama3}, true},
      {"minicpm5", {kNumbers, {GPT4("\\p{N}+")}}, true},
      {"qwen2 deepseek-r1-qwen megrez kormo f2llmv2 stablelm2", {kQwen2}, false, false, true},
      {"hunyuan solar-open grok-2", {kQwen2}},
      {"qwen35",
       {{CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" S "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" BREAKS
                      "|" SPACES}}},
      {"laguna", {{"[^\\n]+|\\n+"}, kQwen2}},
      {"ufakzeka", {{WORD "|\\p{N}|" SYMBOLS "[\\r\\n]*|" BREAKS "|" SPACES}}},
      {"seed-coder", {{CONTRACTIONS "|" WORD "|\\p{N}| ?[^" S "\\p{L}\\p{N}\\r\\n]+|" BREAKS "|" SPACES}}},
      {"bailingmoe bailingmoe2 llada-moe",
       {{"'(?i:[sdmt]|ll|ve|re)|" WORD "|\\p{N}|" SYMBOLS "[\\r\\n]*|[" S "]*[\\r\\n]|" SPACES}}},
      {"exaone-moe",
       {{CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}\\p{M}*+(?: ?\\p{L}\\p{M}*+)*+|\\p{N}|" SYMBOLS "[\\r\\n/]?|[" S
                      "]*[\\r\\n]|" SPACES}}},
      {"jais-2",
       {{CONTRACTIONS "|" WORD "|" NUMBERS "|" SYMBOLS "[\\r\\n]*|" BREAKS "|[" S "]{512}(?![^" S "])|[" S
                      "]{256}(?![^" S "])|[" S "]{128}(?![^" S "])|[" S "]{64}(?![^" S "])|[" S "]{32}(?![^" S "])|[" S
                      "]{16}(?![^" S "])|[" S "]{8}(?![^" S "])|[" S "]{4}(?![^" S "])|[" S "]{1,2}(?![^" S "])|[" S
                      "]"}}},
      {"gpt-4o llama4 kanana2 talkie minimax-m2", {kGpt4o}},
      {"granite-embed-multi-97m", {kGpt4o}, true},
      {"tekken", {{GPT4O("", "\\p{N}")}}, true, true},
      {"kimi-k2",
       {{"\\p{sc:Han}+|" CASED("\\p{sc:Han}", CONTRACTIONS "?") "|" NUMBERS "|" SYMBOLS "[\\r\\n]*|" BREAKS
                                                                "|" SPACES}}},
      {"youtu",
       {{"[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}\\x{2019}\\x{2014}"
         "\\x{FF1A}\\x{FF1B}\\x{FF0C}\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+|[\\x{3105}-\\x{312F}]+"
         "|" CHINESE_JAPANESE},
        {GPT4O(CONTRACTIONS "?", "\\p{N}")}},
       true},
      {"tiny_aya cohere2moe", {kThreesOfWord, kGpt4o}},
      // Its own cuts lie before groups of three only: a digit stays with a numeral that is none ("12½"). Not so here.
      {"superbpe", {kDigits, {"(?<!\\p{Nd})\\p{Nd}++", true}}},
      {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", {kNumbers, kChineseJapanese, kDeepseek3}},
      {"spark2_5",
       {kNumbers,
        kChineseJapanese,
        {ASCII_SYMBOL "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\\r\\n]|" SPACES},
        kDigit}},
      {"afmoe",
       {{"\\p{N}++", true},
        {"[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{F900}-\\x{FAFF}\\x{3040}-\\x{30FF}\\x{FF65}-\\x{FF9F}"
         "\\x{2F00}-\\x{2FDF}\\x{E40}-\\x{E7F}\\x{E80}-\\x{EFF}\\x{1780}-\\x{17FF}\\x{1000}-\\x{109F}\\x{AA60}-\\x{"
         "AA7F}"
         "\\x{A9E0}-\\x{A9FF}\\x{AC00}-\\x{D7AF}\\x{1100}-\\x{11FF}]+"},
        kDeepseek3}},
      // The last step of the first takes white space at the end of a piece; a run that does not end it is tried once.
      {"deepseek-llm",
       {{"[\\r\\n]"},
        {"[" S "]?[" DEEPSEEK_LETTERS "]+"},
        {"[" S "]?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+"},
        {"[" S "]++(?:\\z|(*SKIP)(*FAIL))"},
        {CHINESE_KOREAN},
        kDigit}},
      {"deepseek-coder", {{"[\\r\\n]"}, {"[" S "]?\\p{L}+"}, {"[" S "]?\\p{P}+"}, {CHINESE_KOREAN}, kDigit}},
      // Its step for digits works on bytes in their printable form, where only ASCII digits matter to the merges.
      {"falcon", {kPunctuation, kGpt2, {"[0-9]+"}, kAsciiThrees}},
      {"bloom poro-chat gpt3-finnish", {kBloom}},
      {"viking", {kBloom, kDigit}},
      {"chameleon",
       {{"<sentinel:[0-9]+>"}, {"IMGIMG[A-I]{1,4}Z"}, {"[\\t\\n]|    |  "}, kDigit, {"[\\p{P}!-/:-@\\[-`{-~]"}, kGpt2},
       false,
       true},
  };
  return rows;
}

namespace {

// Calls `visit` with each known name until it says to stop.
template <class Visit>
void for_each_name(Visit visit) {
  for (const PreKind& kind : pre_kinds())
    for (std::string_view rest = kind.names; !rest.empty();) {
      const std::string_view name = rest.substr(0, rest.find(' '));
      visit(name, kind);
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    }
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t change = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

const PreKind* find_pre_kind(std::string_view name) {
  const PreKind* found = nullptr;
  for_each_name([&](std::string_view known, const PreKind& kind) {
    if (known == (name.empty() ? "default" : name)) found = &kind;
  });
  return found;
}

std::string known_pre_kinds(std::string_view name) {
  std::vector<std::string_view> names;
  for_each_name([&](std::string_view known, const PreKind&) { names.push_back(known); });
  std::sort(names.begin(), names.end());
  const std::string_view asked = name.substr(0, 64);
  const auto nearest = std::min_element(names.begin(), names.end(), [&](std::string_view a, std::string_view b) {
    return edit_distance(asked, a) < edit_distance(asked, b);
  });
  std::string text = "the nearest it knows is '" + std::string(*nearest) + "', of ";
  for (std::size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : ", ") + std::string(names[i]);
  return text;
}

}  // namespace kvasir
