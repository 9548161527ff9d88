#pragma once

#include "gateway/http.h"
#include "gateway/model_registry.h"

namespace kvasir {

HttpResponse answer_models(const ModelRegistry& models);  // GET /v1/models
HttpResponse answer_model(const Model& model);            // GET /v1/models/{id}

}  // namespace kvasir
