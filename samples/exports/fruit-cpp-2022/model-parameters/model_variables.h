#ifndef MODEL_VARIABLES_H
#define MODEL_VARIABLES_H

#include <stdint.h>
#include "model_metadata.h"
#include "edge-impulse-sdk/classifier/ei_model_types.h"

const char* ei_classifier_inferencing_categories[] = { "apple", "banana", "kiwi", "orange", "pear" };
ei_dsp_config_image_t ei_dsp_config_4 = { 1, 1, "RGB" };

#endif // MODEL_VARIABLES_H
