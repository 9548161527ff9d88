#include "gateway/api/conversation.h"

#include <fmt/format.h>

#include "gateway/json/json.h"

namespace kvasir {
namespace {

constexpr std::size_t kToolNameBytesMax = 64;

// One element of an array in the body: keeps the first problem in the outer reader under its full path.
class Element {
 public:
  Element(FieldReader& outer, const Value::Object& object, const std::string& path)
      : outer_(outer), fields_(object, path + ".") {}
  ~Element() {
    if (!fields_.ok()) outer_.adopt(fields_.error());
  }
  Element(const Element&) = delete;
  Element& operator=(const Element&) = delete;
  FieldReader& fields() { return fields_; }

 private:
  FieldReader& outer_;
  FieldReader fields_;
};

void append_part(FieldReader& fields, const Value& part, std::string_view index_path, Message& message) {
  const Value* type = part.find("type");
  const std::string* kind = type ? type->as_string() : nullptr;
  const std::string_view member = kind && *kind == "refusal" ? "refusal" : "text";
  if (!kind || (*kind != "text" && *kind != "refusal"))
    return fields.fail("content", fmt::format("part {} must have type 'text': kvasir serves text models{}", index_path,
                                              kind ? fmt::format(", not '{}'", *kind) : std::string()));
  const Value* value = part.find(member);
  const std::string* words = value ? value->as_string() : nullptr;
  if (!words) return fields.fail("content", fmt::format("part {} must have a string '{}'", index_path, member));
  if (!message.parts.empty()) message.content += '\n';
  message.content += *words;
  message.parts.push_back(*words);
}

void read_content(FieldReader& fields, bool required, Message& message) {
  const Value* content = fields.any("content");
  if (!content) {
    if (required) fields.fail("content", "is required: a string or an array of text parts");
    return;
  }
  if (const std::string* plain = content->as_string()) {
    message.content = *plain;
    return;
  }
  const Value::Array* parts = content->as_array();
  if (!parts)
    fields.fail("content",
                fmt::format("must be a string or an array of text parts, not a {}", json_type_name(*content)));
  for (std::size_t i = 0; parts && i < parts->size(); ++i)
    append_part(fields, (*parts)[i], fmt::format("[{}]", i), message);
}

// Templates print arguments with `tojson` or go through their members, so the text the API carries them in is parsed,
// and kept as their source: that is what the model wrote. What is no JSON object stays text.
Value arguments_for_template(const Value* arguments) {
  if (!arguments || arguments->is_null()) return Value::Object();
  const std::string* text = arguments->as_string();
  if (!text) return *arguments;
  if (text->empty()) return Value::Object();
  const Result<Value> parsed = parse_json(*text);
  if (!parsed || !parsed->as_object()) return *arguments;
  Value::Object object = *parsed->as_object();
  object.source = std::make_shared<const std::string>(*text);
  return object;
}

// Some templates print a call as the object that it is: in the order that models write, whatever the client's is.
Value call_for_template(const Value& call, const Value& function) {
  Value::Object inner, outer;
  inner.set("name", *function.find("name"));
  inner.set("arguments", arguments_for_template(function.find("arguments")));
  for (const auto& [name, value] : function.as_object()->members)
    if (!inner.find(name)) inner.set(name, value);
  for (const std::string_view name : {"id", "type"})
    if (const Value* value = call.find(name)) outer.set(std::string(name), *value);
  outer.set("function", std::move(inner));
  for (const auto& [name, value] : call.as_object()->members)
    if (!outer.find(name)) outer.set(name, value);
  return outer;
}

Value::Array read_tool_calls(FieldReader& fields) {
  Value::Array calls;
  const Value::Array* given = fields.array("tool_calls");
  for (std::size_t i = 0; given && i < given->size(); ++i) {
    const Value* function = (*given)[i].find("function");
    const Value* name = function ? function->find("name") : nullptr;
    if (!name || !name->as_string()) {
      fields.fail("tool_calls", fmt::format("[{}] must be a function call with a name", i));
      break;
    }
    calls.push_back(call_for_template((*given)[i], *function));
  }
  return calls;
}

std::string read_role(FieldReader& fields) {
  const std::string role = fields.string("role").value_or("");
  if (role == "developer") return "system";  // the newer name of the same thing; templates know this one
  if (role != "system" && role != "user" && role != "assistant" && role != "tool")
    fields.fail("role", "must be one of developer, system, user, assistant, tool");
  return role;
}

Message read_message(FieldReader& fields) {
  Message message;
  message.role = read_role(fields);
  if (message.role == "assistant") {
    message.tool_calls = read_tool_calls(fields);
    message.reasoning = fields.string("reasoning_content").value_or(fields.string("reasoning").value_or(""));
    if (const auto refusal = fields.string("refusal")) message.content = *refusal;
    const Value* content = fields.any("content");
    message.content_is_null = message.content.empty() && !content;
  }
  if (message.content.empty()) read_content(fields, message.role != "assistant" || message.tool_calls.empty(), message);
  message.name = fields.string("name").value_or("");
  if (message.role == "tool") {
    message.tool_call_id = fields.string("tool_call_id").value_or("");
    if (message.tool_call_id.empty()) fields.fail("tool_call_id", "is required in a tool message");
  }
  return message;
}

void read_messages(FieldReader& fields, std::vector<Message>& messages) {
  const Value::Array* list = fields.array("messages");
  if (!list || list->empty()) return fields.fail("messages", "is required: an array with at least one message");
  messages.reserve(list->size());
  for (std::size_t i = 0; i < list->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    const Value::Object* object = (*list)[i].as_object();
    if (!object) return fields.fail(path, "must be an object with role and content");
    Element element(fields, *object, path);
    messages.push_back(read_message(element.fields()));
    messages.back().place = static_cast<std::uint32_t>(i);
  }
}

bool is_tool_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  for (const char c : name)
    if (!allowed(c)) return false;
  return !name.empty() && name.size() <= kToolNameBytesMax;
}

void read_tools(FieldReader& fields, Value::Array& tools) {
  const Value::Array* list = fields.array("tools");
  for (std::size_t i = 0; list && i < list->size(); ++i) {
    const Value* type = (*list)[i].find("type");
    const Value* function = (*list)[i].find("function");
    const Value* name = function ? function->find("name") : nullptr;
    if (!type || !type->as_string() || *type->as_string() != "function" || !name || !name->as_string() ||
        !is_tool_name(*name->as_string()))
      return fields.fail("tools",
                         fmt::format("[{}] must be {{\"type\":\"function\",\"function\":{{\"name\":...}}}} with "
                                     "a name of 1 to {} letters, digits, '_', '-' or '.'",
                                     i, kToolNameBytesMax));
    tools.push_back((*list)[i]);
  }
}

void read_template_variables(FieldReader& fields, Value::Object& variables) {
  if (const auto effort = fields.string("reasoning_effort")) variables.set("reasoning_effort", *effort);
  const Value::Object* given = fields.object("chat_template_kwargs");
  if (!given) return;
  for (const auto& [name, value] : given->members) {
    if (name == "messages" || name == "tools")
      return fields.fail("chat_template_kwargs", fmt::format("must not hold '{}': that is a field of its own", name));
    variables.set(name, value);
  }
}

}  // namespace

Conversation read_openai_conversation(FieldReader& fields) {
  Conversation conversation;
  read_messages(fields, conversation.messages);
  read_tools(fields, conversation.tools);
  read_template_variables(fields, conversation.template_variables);
  conversation.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  return conversation;
}

}  // namespace kvasir
