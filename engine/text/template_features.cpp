#include "engine/text/template_features.h"

#include <array>
#include <optional>

namespace kvasir {
namespace {

// Words that no template prints of itself.
constexpr std::string_view kSystem = "Qsystemwords", kUser = "Quserwords", kReply = "Qreplywords",
                           kSecond = "Qseconduser", kResult = "Qresultwords", kOther = "Qotherresult",
                           kThought = "Qfirstthought", kLaterThought = "Qsecondthought", kKey = "qcity",
                           kValue = "Qvalueone", kOtherValue = "Qvaluetwo", kTool = "qtoolname",
                           kOtherTool = "qothertool";
constexpr std::string_view kId = "Qcallid01", kOtherId = "Qcallid02", kLongId = "call_Qlongcallid0123456789";
constexpr std::string_view kNow = "2021-03-04T05:06:07", kLater = "2032-10-11T12:13:14";

using Turns = Value::Array;

Value::Object turn(std::string_view role, Value content) {
  Value::Object message;
  message.set("role", role);
  message.set("content", std::move(content));
  return message;
}

Value parts_of(std::string_view text) {
  Value::Object part;
  part.set("type", "text");
  part.set("text", text);
  return Value::Array{std::move(part)};
}

Value one_argument(std::string_view value) {
  Value::Object arguments;
  arguments.set(std::string(kKey), value);
  return arguments;
}

std::string as_json(std::string_view value) {
  return "{\"" + std::string(kKey) + "\": \"" + std::string(value) + "\"}";
}

Value call(std::string_view name, std::string_view id, Value arguments) {
  Value::Object function, outer;
  function.set("name", name);
  function.set("arguments", std::move(arguments));
  if (!id.empty()) outer.set("id", id);
  outer.set("type", "function");
  outer.set("function", std::move(function));
  return outer;
}

Value tool(std::string_view name) {
  Value::Object type, properties, parameters, function, outer;
  type.set("type", "string");
  type.set("description", "words");
  properties.set(std::string(kKey), std::move(type));
  parameters.set("type", "object");
  parameters.set("properties", std::move(properties));
  parameters.set("required", Value::Array{std::string(kKey)});
  function.set("name", name);
  function.set("description", "words");
  function.set("parameters", std::move(parameters));
  outer.set("type", "function");
  outer.set("function", std::move(function));
  return outer;
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++n;
  return n;
}

bool holds(const std::optional<std::string>& text, std::string_view part) {
  return text && text->find(part) != std::string::npos;
}

// Not as a word within a list that was printed as a whole.
bool holds_bare(const std::optional<std::string>& text, std::string_view part) {
  return holds(text, part) && !holds(text, "'" + std::string(part) + "'") &&
         !holds(text, '"' + std::string(part) + '"');
}

// How a probe is rendered; none of it is the conversation.
struct Ask {
  bool generation_prompt = false;
  bool tools = false;
  std::string variable = {};  // set to `setting`
  Value setting = {};
  std::string_view now = kNow;
};

class Detector {
 public:
  Detector(const ChatTemplate& chat_template, std::string_view bos_text, std::string_view eos_text)
      : template_(chat_template), bos_(bos_text), eos_(eos_text) {}

  TemplateFeatures run() {
    find_content();
    find_roles();
    find_tools();
    find_calls();
    find_thinking();
    find_reasoning();
    find_clock();
    return found_;
  }

 private:
  using F = TemplateFeatures;

  std::optional<std::string> render(const Turns& turns, const Ask& ask = {}) const {
    Value::Object variables;
    variables.set("messages", turns);
    const Value tools = Value::Array{tool(kTool), tool(kOtherTool)};
    variables.set("tools", ask.tools ? tools : found_.empty_tools_needed ? Value(Value::Array()) : Value());
    if (ask.tools && !found_.tools_variable.empty()) variables.set(found_.tools_variable, tools);
    variables.set("add_generation_prompt", ask.generation_prompt);
    variables.set("bos_token", bos_);
    variables.set("eos_token", eos_);
    if (!ask.variable.empty()) variables.set(ask.variable, ask.setting);
    const auto prompt = template_.render(variables, ask.now);
    return prompt ? std::optional(prompt->text()) : std::nullopt;
  }

  // Words in the form that the template takes.
  Value words(std::string_view text) const {
    return found_.content == F::Content::parts ? parts_of(text) : Value(text);
  }
  Value::Object user(std::string_view text = kUser) const { return turn("user", words(text)); }
  Value::Object reply(std::string_view text = kReply) const { return turn("assistant", words(text)); }
  Value::Object system() const { return turn("system", words(kSystem)); }

  void find_content() {
    found_.empty_tools_needed = !render({turn("user", kUser)}) && !render({turn("user", parts_of(kUser))});
    found_.content = content_form();
    if (found_.content == F::Content::none) found_.empty_tools_needed = false;
  }

  F::Content content_form() const {
    const auto text = render({turn("user", kUser)}), parts = render({turn("user", parts_of(kUser))});
    const bool takes_text = holds(text, kUser);
    const bool takes_parts = holds_bare(parts, kUser);
    return takes_text && takes_parts ? F::Content::either
           : takes_text              ? F::Content::text
           : takes_parts             ? F::Content::parts
                                     : F::Content::none;
  }

  void find_roles() {
    const auto plain = render({user()}), opened = render({user()}, {.generation_prompt = true});
    found_.generation_prompt = opened && plain != opened;
    found_.starts_with_bos = plain && !bos_.empty() && plain->starts_with(bos_);
    found_.alternation_enforced = plain && !render({user(), user(kSecond)});
    found_.user_required = plain && !render({system()}) && !render({reply()}) && !render({system(), reply()});
    found_.system = system_place();
    const auto late = render({user(), reply(), system(), user(kSecond)});
    found_.late_system = !late                                      ? F::LateSystem::refused
                         : !holds(late, kSystem)                    ? F::LateSystem::dropped
                         : late->find(kSystem) > late->find(kReply) ? F::LateSystem::in_place
                                                                    : F::LateSystem::moved;
  }

  F::System system_place() const {
    const auto with = render({system(), user()});
    if (!with) return F::System::refused;
    const std::size_t at = with->find(kSystem), words_at = with->find(kUser);
    if (at == std::string::npos || words_at == std::string::npos) return F::System::dropped;
    if (at > words_at) return F::System::in_user_turn;
    // A turn of its own when what opens user turns stands behind it.
    const std::string opening = user_opening(), between = with->substr(at, words_at - at);
    return !opening.empty() && between.find(opening) != std::string::npos ? F::System::own_turn
                                                                          : F::System::in_user_turn;
  }

  // What stands before the words of a user's turn, wherever the turn is.
  std::string user_opening() const {
    const auto one = render({user()}), more = render({user(), reply(), user(kSecond)});
    if (!one || !more) return {};
    const std::string first = one->substr(0, one->find(kUser)), second = more->substr(0, more->find(kSecond));
    std::size_t n = 0;
    while (n < first.size() && n < second.size() && first[first.size() - 1 - n] == second[second.size() - 1 - n]) ++n;
    return first.substr(first.size() - n);
  }

  void find_tools() {
    const Ask ask{.generation_prompt = true, .tools = true};
    for (const char* name : {"tools", "xml_tools"}) {
      found_.tools_variable = name;
      if (holds(render({user()}, ask), kTool) || holds(render({system(), user()}, ask), kTool)) return;
    }
    found_.tools_variable.clear();
  }

  // ---- tool calls ----

  struct Form {  // in which calls are given to the template
    std::optional<Value> content = std::nullopt;
    bool text = false;  // arguments as text
    std::string_view id = kId;
    bool names = true;    // of results
    bool results = true;  // follow
    bool two = false;
  };

  Value arguments(std::string_view value, const Form& form) const {
    return form.text ? Value(as_json(value)) : one_argument(value);
  }

  Value::Object result(std::string_view words_of_it, std::string_view name, std::string_view id,
                       const Form& form) const {
    Value::Object message = turn("tool", words(words_of_it));
    if (!id.empty()) message.set("tool_call_id", id);
    if (form.names) message.set("name", name);
    return message;
  }

  std::optional<std::string> render_calls(const Form& form) const {
    Value::Array calls{call(kTool, form.id, arguments(kValue, form))};
    if (form.two) calls.push_back(call(kOtherTool, form.id.empty() ? form.id : kOtherId, arguments(kOtherValue, form)));
    Value::Object message;
    message.set("role", "assistant");
    if (form.content) message.set("content", *form.content);
    message.set("tool_calls", std::move(calls));
    Turns turns{user(), std::move(message)};
    if (form.results) turns.push_back(result(kResult, kTool, form.id, form));
    if (form.results && form.two)
      turns.push_back(result(kOther, kOtherTool, form.id.empty() ? form.id : kOtherId, form));
    return render(turns, {.tools = true});
  }

  // The arguments came out as themselves, not as Python's words for them or as a string within JSON.
  static bool is_faithful(const std::optional<std::string>& prompt, bool text) {
    if (text) return holds(prompt, as_json(kValue));
    return holds(prompt, kValue) && !holds(prompt, "{'" + std::string(kKey) + "'");
  }

  void find_calls() {
    // The first way of giving them that works, the most usual first.
    std::optional<Form> form;
    for (const bool text : {false, true})
      for (const auto& content : {std::optional(Value()), std::optional(Value("")), std::optional<Value>()})
        if (const Form candidate{.content = content, .text = text}; !form && is_faithful(render_calls(candidate), text))
          form = candidate;
    if (!form) return find_results({.content = Value("")});
    found_.tool_calls = true;
    Form other = *form;
    other.text = !form->text;
    const bool both = is_faithful(render_calls(other), other.text);
    found_.arguments = both ? F::Arguments::either : form->text ? F::Arguments::text : F::Arguments::object;
    find_null(*form);
    find_ids(*form);
    find_results(*form);
    Form two = *form;
    two.two = true;
    const auto prompt = render_calls(two);
    found_.parallel_calls = holds(prompt, kValue) && holds(prompt, kOtherValue);
  }

  void find_null(Form form) {
    form.content = Value();
    const auto null = render_calls(form);
    form.content = Value("");
    const auto empty = render_calls(form);
    found_.null_content = null && (null == empty || count(*null, "None") + count(*null, "null") == 0);
  }

  void find_ids(Form form) {
    found_.call_ids = holds(render_calls(form), kId);
    form.id = {};
    found_.call_ids_required = !render_calls(form);
    form.id = kLongId;
    if (!render_calls(form)) found_.call_id_length = static_cast<std::uint32_t>(kId.size());
  }

  void find_results(Form form) {
    const auto named = render_calls(form);
    found_.tool_results = holds(named, kResult);
    form.names = false;
    found_.result_names = found_.tool_results && render_calls(form) != named;
  }

  // ---- reasoning ----

  Value::Object thoughtful(std::string_view text, std::string_view thought, std::string_view field) const {
    Value::Object message = reply(text);
    message.set(std::string(field), thought);
    return message;
  }

  void find_reasoning() {
    // Some print thoughts only where the model is to think.
    const Ask plain{.variable = found_.thinking_variable, .setting = true};
    Ask prompting = plain;
    prompting.generation_prompt = prompting.tools = true;
    for (const std::string_view field : {"reasoning_content", "thinking", "reasoning"}) {
      const auto prompt = render(
          {user(), thoughtful(kReply, kThought, field), user(kSecond), thoughtful("Qlastreply", kLaterThought, field)},
          plain);
      if (!holds(prompt, kLaterThought) && !holds(render(between_calls(field), prompting), kLaterThought)) continue;
      found_.reasoning_field = field;
      found_.reasoning = holds(prompt, kThought) ? F::Reasoning::always : F::Reasoning::current;
      break;
    }
    found_.thinking_parts = holds_bare(render({user(), thinking_part()}, plain), kThought);
    const std::string tagged = "<think>\n" + std::string(kThought) + "\n</think>\n\n" + std::string(kReply);
    const auto earlier = render({user(), reply(tagged), user(kSecond)});
    found_.think_tags_removed = holds(earlier, kReply) && !holds(earlier, kThought);
  }

  static Value::Object thinking_part() {
    Value::Object part, message;
    part.set("type", "thinking");
    part.set("thinking", kThought);
    message.set("role", "assistant");
    message.set("content", Value::Array{std::move(part), parts_of(kReply).as_array()->front()});
    return message;
  }

  // A reasoning, the call it led to, and its result.
  Turns between_calls(std::string_view field) const {
    const Form form{.text = found_.arguments == F::Arguments::text};
    Value::Object message = thoughtful("", kLaterThought, field);
    message.set("tool_calls", Value::Array{call(kTool, kId, arguments(kValue, form))});
    return {user(), std::move(message), result(kResult, kTool, kId, form)};
  }

  void find_thinking() {
    for (const char* name : {"enable_thinking", "thinking"})
      if (found_.thinking_variable.empty() && differs(name, true, false)) found_.thinking_variable = name;
    found_.reasoning_effort = differs("reasoning_effort", "low", "high");
    found_.opens_reasoning = ends_open(render({user()}, {.generation_prompt = true}));
  }

  bool differs(const char* variable, Value one, Value other) const {
    Ask ask{.generation_prompt = true};
    ask.variable = variable;
    ask.setting = std::move(one);
    const auto first = render({user()}, ask);
    ask.setting = std::move(other);
    return first && first != render({user()}, ask);
  }

  bool ends_open(std::optional<std::string> prompt) const {
    if (!prompt) return false;
    while (!prompt->empty() && (prompt->back() == '\n' || prompt->back() == ' ')) prompt->pop_back();
    constexpr std::array<std::string_view, 3> kOpen{"<think>", "[THINK]", "<thinking>"};
    for (const std::string_view tag : kOpen)
      if (prompt->ends_with(tag)) return true;
    return false;
  }

  void find_clock() {
    for (const bool with_tools : {false, true}) {
      const Ask now{.generation_prompt = true, .tools = with_tools};
      Ask later = now;
      later.now = kLater;
      for (const Turns& turns : {Turns{user()}, Turns{system(), user()}})
        if (render(turns, now) != render(turns, later)) found_.clock = true;
    }
  }

  const ChatTemplate& template_;
  const std::string bos_, eos_;
  TemplateFeatures found_;
};

}  // namespace

TemplateFeatures detect_template_features(const ChatTemplate& chat_template, std::string_view bos_text,
                                          std::string_view eos_text) {
  return Detector(chat_template, bos_text, eos_text).run();
}

}  // namespace kvasir
