#include "gateway/api/models.h"

#include "gateway/json_writer.h"

namespace kvasir {
namespace {

void write_model(JsonWriter& json, const Model& model) {
  json.begin_object().member("id", std::string_view(model.name)).member("object", "model");
  json.member("created", model.created).member("owned_by", "kvasir");
  json.member("max_model_len", model.engine->context_tokens()).end_object();
}

}  // namespace

HttpResponse answer_models(const ModelRegistry& models) {
  JsonWriter json;
  json.begin_object().member("object", "list").key("data").begin_array();
  for (const auto& model : models.models()) write_model(json, *model);
  return {.body = json.end_array().end_object().take()};
}

HttpResponse answer_model(const Model& model) {
  JsonWriter json;
  write_model(json, model);
  return {.body = json.take()};
}

}  // namespace kvasir
