#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/text/calls/reply_format.h"

namespace kvasir {

// Renders conversations whose answers are known and reads off what a template prints around them. Short-lived.
class TemplateProbe {
 public:
  TemplateProbe(const ChatTemplate& chat_template, std::string_view bos_text, std::string_view eos_text);

  // How calls of the history are printed; nothing when they are not, or in no way that is known.
  std::optional<CallNotation> calls();
  // A turn with content alone, and how it is asked for.
  std::string plain();
  std::string content_lead();  // white space between the two
  // What stands before and after an assistant's reasoning_content.
  std::optional<std::pair<std::string, std::string>> reasoning();

 private:
  enum class Arguments : std::uint8_t { object, text };
  struct Printed {
    std::string text;  // from the end of the turn's header to the beginning of its end
    bool two = false;  // both calls
  };
  std::optional<std::string> render(const Value& assistant, bool generation_prompt = false, bool with_tool = false);
  std::optional<Printed> printed(Arguments arguments, bool null_content);
  std::optional<std::string> printed_turn(const Value& assistant);

  const ChatTemplate& template_;
  std::string bos_text_, eos_text_;
  bool arguments_as_text_ = false;
};

// Reads the notation off a printed turn with the probe's calls: kCallName1 and, if `two`, kCallName2.
std::optional<CallNotation> read_notation(std::string_view turn, bool two);

inline constexpr std::string_view kCallName1 = "probe_alpha", kCallName2 = "probe_omega";
inline constexpr std::string_view kCallId1 = "probe0001", kCallId2 = "probe0002";
inline constexpr std::string_view kKey1 = "kfirst", kText1 = "vfirst", kKey2 = "ksecond", kText2 = "vsecond";

}  // namespace kvasir
